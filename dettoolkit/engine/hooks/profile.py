"""Where the time of a training step goes."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from torch.profiler import ProfilerActivity

from dettoolkit.distributed import call_at_last_bucket, gather_objects, is_main_process
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.step_clock import StepClock, clocked_parts
from dettoolkit.engine.trainer import Trainer
from dettoolkit.registry import HOOKS

logger = logging.getLogger(__name__)


@HOOKS.register()
class Profile(Hook):
    """Writes ``profile/step.txt`` and ``.json``, the parts of a step and their time, and ``profile/trace.json``; then goes on.

    The parts add up to the step: waiting for data, copying to the device, the network's parts, assignment of ground truth,
    losses, backward, communication (what of it the backward pass does not hide), optimizer, and the rest, which is hooks
    above all. On CUDA the device is waited for at each border, so that these steps take longer than others. The trace is of
    steps as they are without, for https://ui.perfetto.dev or chrome://tracing.

    ``--profile`` puts it before all other hooks, where it belongs.

    Args:
        run_folder: of the run (wired).
        skip: steps before, in which caches fill and workers start.
        steps: that are timed.
        traced_steps: after these, for the trace.

    Raises:
        ValueError: no steps, or a negative number.
    """

    def __init__(self, run_folder: RunFolder, skip: int = 5, steps: int = 10, traced_steps: int = 3) -> None:
        if skip < 0 or steps < 1 or traced_steps < 0:
            raise ValueError(f"expected skip >= 0, steps >= 1 and traced_steps >= 0, got {skip}, {steps} and {traced_steps}")
        self.folder = Path(run_folder.path) / "profile"
        self.skip, self.steps, self.traced_steps = skip, steps, traced_steps
        self._clock = StepClock(torch.device("cpu"))
        self._watched = contextlib.ExitStack()
        self._profiler: Any = None
        self._done = 0

    def before_train(self, trainer: Trainer) -> None:
        """Say so if the training is too short, and get ready to hear of the gradients' communication."""
        needed, left = self.skip + self.steps + self.traced_steps, trainer.num_iterations - trainer.iteration
        if left < needed:
            logger.warning("the profile takes %d steps and %d are left: it will not be complete", needed, left)
        self._clock, self._done = StepClock(trainer.device), 0
        call_at_last_bucket(trainer.replica, self._only_communication_left)

    def before_step(self, trainer: Trainer) -> None:
        """Write what the steps before have completed, and watch this one if it is to be."""
        timed = self._done - self.skip
        if timed == 0:
            self._clock.start()
        if timed == self.steps:
            self._write_parts(timed)
            self._start_trace(trainer.device)
        if timed == self.steps + self.traced_steps:
            self._write_trace()
        if 0 <= timed < self.steps:
            self._watched.enter_context(clocked_parts(trainer.model, self._clock))
            trainer.part = self._clock.part

    def after_step(self, trainer: Trainer) -> None:
        """Stop watching: what other hooks do now is the rest."""
        self._watched.close()
        trainer.part = torch.profiler.record_function
        self._done += 1

    def after_train(self, trainer: Trainer) -> None:
        """Write what a training that was too short has completed."""
        if 0 < self._done - self.skip <= self.steps:
            self._write_parts(self._done - self.skip)
        self._write_trace()

    def on_exception(self, trainer: Trainer, error: BaseException) -> None:
        """Let go of everything, and write the trace if that can be done."""
        self._watched.close()
        try:
            self._write_trace()
        except Exception as failed:  # whatever ended the training is what is to be told
            logger.error("the trace could not be written: %s", failed)

    def _only_communication_left(self) -> None:
        if self._clock.is_inside("backward"):
            self._clock.turn_into("communication")

    def _write_parts(self, steps: int) -> None:
        seconds = {part: total / steps for part, total in self._clock.stop().items()}
        everywhere = gather_objects(seconds)
        if not is_main_process() or everywhere is None:
            return
        self.folder.mkdir(exist_ok=True)
        text = table(everywhere, steps)
        (self.folder / "step.txt").write_text(f"{text}\n", encoding="utf-8")
        (self.folder / "step.json").write_text(json.dumps({"steps": steps, "seconds": everywhere}, indent=1), encoding="utf-8")
        logger.info("where the time of a step goes\n%s\nprofile: %s", text, self.folder)

    def _start_trace(self, device: torch.device) -> None:
        if is_main_process() and self.traced_steps:
            if device.type == "cpu":
                os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # else it calls a missing GPU an error, on stderr
            activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
            self._profiler = torch.profiler.profile(activities=activities, acc_events=True)  # else torch 2.11 warns
            self._profiler.start()

    def _write_trace(self) -> None:
        if self._profiler is None:
            return
        profiler, self._profiler = self._profiler, None
        profiler.stop()
        self.folder.mkdir(exist_ok=True)
        profiler.export_chrome_trace(str(self.folder / "trace.json"))
        logger.info(
            "trace of %d steps: %s", min(self._done - self.skip - self.steps, self.traced_steps), self.folder / "trace.json"
        )


def table(everywhere: Sequence[Mapping[str, float]], steps: int) -> str:
    """Return the parts of the main process's step, largest first, their sum, and of several processes the range.

    Args:
        everywhere: seconds a step of each part, by process.
        steps: how many they were averaged over.
    """
    main = everywhere[0]
    total = sum(main.values())
    rows = []
    for part, seconds in [*sorted(main.items(), key=lambda item: -item[1]), ("step", total)]:
        others = [sum(each.values()) if part == "step" else each.get(part, 0.0) for each in everywhere]
        spread = [f"{1e3 * min(others):.1f} to {1e3 * max(others):.1f}"] if len(everywhere) > 1 else []
        rows.append([part, f"{1e3 * seconds:.1f}", f"{100 * seconds / total:.1f} %", *spread])
    spread_header = [f"of {len(everywhere)} processes"] if len(everywhere) > 1 else []
    headers = [f"mean of {steps} steps", "ms", "share", *spread_header]
    return tabulate(rows, headers, disable_numparse=True, colalign=("left",) + ("right",) * (len(headers) - 1))
