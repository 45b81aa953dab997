"""An end where nothing gets better any more."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Literal

from dettoolkit.distributed import is_main_process
from dettoolkit.engine.evaluating import DatasetEvaluation
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.hooks.watched_number import WatchedNumber
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.registry import HOOKS
from dettoolkit.structures import Duration

logger = logging.getLogger(__name__)


@HOOKS.register()
class EarlyStopping(Hook):
    """Ends the training when ``patience`` evaluations one after the other were not better than the best before them.

    The main process decides, all obey at the end of the step, and the training ends in good order: ``model_final.pth`` and the
    report are written. A training resumed after an early stop goes on until its next evaluation that is not better.
    Stands after Evaluation and before PeriodicCheckpoint, which saves what it has seen.

    Args:
        evaluations: one for each data set (wired).
        evaluation_period: of ``EVALUATION.PERIOD`` (wired).
        run_folder: of the run (wired).
        metric: a number of the evaluation, e.g. ``bbox/AP``; with several data sets that of the first one, unless it is
            called by its whole name, ``<data set>/bbox/AP``.
        patience: how many evaluations may pass without a better one.
        min_delta: better is what is better by more than this, in the unit of the metric; AP is in 0..1.
        mode: whether larger or smaller is better.

    Raises:
        ValueError: a number out of range.
    """

    stands_after = ("Evaluation",)

    def __init__(
        self,
        evaluations: Sequence[DatasetEvaluation],
        evaluation_period: Duration,
        run_folder: RunFolder,
        metric: str = "bbox/AP",
        patience: int = 5,
        min_delta: float = 0.001,
        mode: Literal["max", "min"] = "max",
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience expects at least 1 evaluation, got {patience}")
        if not 0 <= min_delta < math.inf:
            raise ValueError(f"min_delta expects a finite number, 0 or more, got {min_delta}")
        self.evaluations, self.period, self.folder = evaluations, evaluation_period, run_folder
        self.watched = WatchedNumber("EarlyStopping", metric, mode)
        self.patience, self.min_delta = patience, min_delta
        self.reference: float | None = None  # what must be beaten by min_delta
        self.best: float | None = None
        self.best_iteration = self.num_waited = 0

    def before_train(self, trainer: Trainer) -> None:
        """Say so where the training has too few evaluations to end early."""
        period = self.period.iterations(trainer.iterations_per_epoch) if self.evaluations else 0
        before_the_end = (trainer.num_iterations - 1) // period if period else 0
        if before_the_end <= self.patience:
            message = "EarlyStopping: %d evaluations come before the end; with a PATIENCE of %d the training cannot end early"
            logger.warning(message, before_the_end, self.patience)

    def after_step(self, trainer: Trainer) -> None:
        """Compare, if there was an evaluation, and ask for the end.

        Raises:
            ConfigError: the evaluation has no such number, see :class:`WatchedNumber`.
        """
        if (found := self.watched.of_this_step(trainer)) is None:
            return
        name, value = found
        if self.watched.is_better(value, self.best):
            self.best, self.best_iteration = value, trainer.iteration
        if self.watched.is_better(value, self.reference, self.min_delta):
            self.reference, self.num_waited = value, 0
            return
        self.num_waited += 1
        if self.num_waited >= self.patience and is_main_process():
            trainer.request_stop(self._reason(name))

    def _reason(self, name: str) -> str:
        file = self.folder.checkpoints / "model_best.pth"
        place = f" (BestCheckpoint's is {file})" if file.is_file() else ""
        best = "no number at all" if self.best is None else f"{self.best:.4f} at iteration {self.best_iteration}{place}"
        return (
            f"{name} got better by more than {self.min_delta:g} in none of {self.num_waited} evaluations; the best was {best}"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, when it was, and how long was waited since."""
        names = ("reference", "best", "best_iteration", "num_waited")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on waiting."""
        for name, value in state.items():
            setattr(self, name, value)
