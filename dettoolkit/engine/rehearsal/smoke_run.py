"""A run of about a minute, as the config has it: steps, an evaluation, a checkpoint that is read back."""

from __future__ import annotations

import logging
import math
import sys
import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from fvcore.common.config import CfgNode

from dettoolkit.checkpoint import read
from dettoolkit.engine.evaluating import DatasetEvaluation
from dettoolkit.engine.hooks import Evaluation, MetricWriters
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.rehearsal.first_batches import FirstBatches
from dettoolkit.engine.rehearsal.rehearsing import rehearsing
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import DettoolkitError
from dettoolkit.structures import Duration

_WARMING = 3  # steps that are not counted: caches fill, workers start
_FOR_STEPS = 0.7  # of the time; the rest is for evaluation, checkpoints and report
_TEST_BATCHES = 4


@dataclass(frozen=True)
class SmokeRun:
    """What a short run did.

    Args:
        steps: done.
        losses: of the first and of the last step.
        seconds_a_step: the mean, without the first steps if there were others; None without any.
        share_waiting: of the time of the steps that was spent on waiting for data.
        seconds_a_test_image: of evaluation; None where nothing was evaluated.
        num_test_images: that one process evaluates, of all test sets together.
        memory: bytes at most: of the GPU, or of the process.
        on_gpu: whose memory that is.
        evaluation: the numbers of the short evaluation.
        checkpoint_is_equal: whether the checkpoint that was read back has the weights of the model; None: none was written.
        steps_of_all, evaluations_of_all: of the whole training.
        failure: what ended the run early; empty where nothing did.
    """

    steps: int = 0
    losses: tuple[float, float] = (math.nan, math.nan)
    seconds_a_step: float | None = None
    share_waiting: float = 0.0
    seconds_a_test_image: float | None = None
    num_test_images: int = 0
    memory: float = 0.0
    on_gpu: bool = False
    evaluation: dict[str, float] | None = None
    checkpoint_is_equal: bool | None = None
    steps_of_all: int = 0
    evaluations_of_all: int = 0
    failure: str = ""

    @property
    def seconds_of_all(self) -> float | None:
        """How long the whole training will take, evaluations included; None where no step was timed."""
        if self.seconds_a_step is None:
            return None
        tests = (self.seconds_a_test_image or 0) * self.num_test_images * self.evaluations_of_all
        return self.steps_of_all * self.seconds_a_step + tests


def smoke_run(cfg: CfgNode, seconds: float = 60.0, processes: int = 1, offline: bool = False) -> SmokeRun:
    """Train as configured for some seconds, evaluate on a few images, write a checkpoint and read it back.

    Args:
        cfg: of one process.
        seconds: in all, about.
        processes: that the whole training has.
        offline: never use the network.

    Raises:
        DettoolkitError: the run cannot start. What happens after its start is told in ``failure``.
    """
    with rehearsing(cfg, offline) as (trainer, folder):
        if trainer.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(trainer.device)
        logging.getLogger("dettoolkit").setLevel(logging.ERROR)  # why the AP of a few steps is low nobody needs to be told
        clock = _TimeLimit(seconds * _FOR_STEPS)
        steps_of_all = _of_all(Duration.parse(cfg.SOLVER.LENGTH), trainer, processes)
        rounds = _rounds(trainer, steps_of_all, processes)
        evaluations = _shortened(trainer)
        _keep_to_the_folder(trainer)
        trainer.hooks = [clock, *trainer.hooks]
        failure = ""
        try:
            trainer.train()
        except DettoolkitError as error:
            failure = str(error)
        except Exception as error:  # out of memory, or a bug of a plugin: it is what is looked for here
            failure = f"{type(error).__name__}: {error}"
        tests = [evaluation.loader for evaluation in evaluations]
        seen, spent = sum(test.seen for test in tests), sum(test.seconds for test in tests)  # type: ignore[attr-defined]
        found = SmokeRun(
            steps=trainer.iteration,
            losses=clock.losses,
            seconds_a_step=clock.seconds_a_step,
            share_waiting=clock.share_waiting,
            seconds_a_test_image=spent / seen if seen else None,
            num_test_images=math.ceil(sum(len(evaluation.dataset) for evaluation in evaluations) / processes),
            memory=_peak_memory(trainer.device),
            on_gpu=trainer.device.type == "cuda",
            evaluation=trainer.latest_evaluation or None,
            steps_of_all=steps_of_all,
            evaluations_of_all=rounds,
            failure=failure,
        )
        return replace(found, checkpoint_is_equal=None if failure else _is_equal(trainer, folder))


def _of_all(duration: Duration, trainer: Trainer, processes: int) -> int:
    """Return a duration in steps of the whole training: an epoch of one process alone has more of them."""
    steps = duration.iterations(trainer.iterations_per_epoch)
    return max(1, round(steps / processes)) if steps and duration.unit == "ep" else steps


def _evaluation(trainer: Trainer) -> Evaluation | None:
    return next((hook for hook in trainer.hooks if isinstance(hook, Evaluation) and hook.evaluations), None)


def _rounds(trainer: Trainer, steps_of_all: int, processes: int) -> int:
    """Return how often the whole training evaluates, the end included."""
    if (hook := _evaluation(trainer)) is None:
        return 0
    period = _of_all(hook.period, trainer, processes)
    return math.ceil(steps_of_all / period) if period else 1


def _shortened(trainer: Trainer) -> list[DatasetEvaluation]:
    """Have evaluations look at the first batches only, and return them."""
    hook = _evaluation(trainer)
    evaluations = [] if hook is None else list(hook.evaluations)
    for evaluation in evaluations:
        evaluation.loader = FirstBatches(evaluation.loader, _TEST_BATCHES)  # type: ignore[assignment]
    return evaluations


def _keep_to_the_folder(trainer: Trainer) -> None:
    """Take out the writers that would leave a run with a server."""
    for hook in trainer.hooks:
        if isinstance(hook, MetricWriters):
            hook.writers = [writer for writer in hook.writers if not getattr(writer, "is_elsewhere", False)]


class _TimeLimit(Hook):
    """Times steps, and makes the one after some seconds the last, so that all happens that does at the end of a training."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._started, self._begun = seconds, 0.0, 0.0
        self._spent: list[float] = []
        self._waited: list[float] = []
        self._first: Any = None
        self._last: Any = None

    def before_train(self, trainer: Trainer) -> None:
        del trainer
        self._started = time.perf_counter()

    def before_step(self, trainer: Trainer) -> None:
        self._begun = time.perf_counter()
        if self._begun - self._started >= self._seconds and trainer.iteration:
            trainer.num_iterations = min(trainer.num_iterations, trainer.iteration + 1)

    def after_step(self, trainer: Trainer) -> None:
        if trainer.device.type == "cuda":
            torch.cuda.synchronize(trainer.device)  # otherwise what is timed is the asking, not the computing
        self._spent.append(time.perf_counter() - self._begun)
        self._waited.append(float(trainer.latest_metrics["data_time"]))
        self._last = trainer.latest_metrics["loss"]
        self._first = self._last if self._first is None else self._first

    @property
    def losses(self) -> tuple[float, float]:
        return (math.nan, math.nan) if self._first is None else (float(self._first), float(self._last))

    @property
    def _counted(self) -> slice:
        return slice(min(_WARMING, max(0, len(self._spent) - 1)), None)

    @property
    def seconds_a_step(self) -> float | None:
        spent = self._spent[self._counted]
        return sum(spent) / len(spent) if spent else None

    @property
    def share_waiting(self) -> float:
        total = sum(self._spent[self._counted])
        return sum(self._waited[self._counted]) / total if total else 0.0


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device))
    if sys.platform == "win32":
        return math.nan
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


def _is_equal(trainer: Trainer, folder: RunFolder) -> bool | None:
    """Read the last checkpoint back and compare it with the model; None: no hook has written one."""
    file = folder.checkpoints / "model_final.pth"
    if not file.is_file():
        return None
    stored = read(file)["model"]
    now = trainer.model_for_evaluation.state_dict()
    return stored.keys() == now.keys() and all(torch.equal(stored[name], value.detach().cpu()) for name, value in now.items())
