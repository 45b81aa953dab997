"""When to save."""

from __future__ import annotations

import logging
from typing import Any, Literal

from dettoolkit.distributed import is_main_process
from dettoolkit.engine.checkpointing import Checkpointer
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.hooks.watched_number import WatchedNumber
from dettoolkit.engine.trainer import Trainer
from dettoolkit.registry import HOOKS
from dettoolkit.structures import Duration

logger = logging.getLogger(__name__)


@HOOKS.register()
class PeriodicCheckpoint(Hook):
    """Saves everything that training needs to go on: every period, at an exception, and as ``model_final.pth`` at the end.

    Stands after the hooks whose state it saves.

    Args:
        checkpointer: writes into the run folder (wired).
        period: how often: iterations, or epochs (``1ep``).
        keep: how many of the periodic files stay.
    """

    stands_after = ("EMA", "Evaluation", "BestCheckpoint", "EarlyStopping")

    def __init__(self, checkpointer: Checkpointer, period: str | int = "1ep", keep: int = 2) -> None:
        self.checkpointer = checkpointer
        self.period = Duration.parse(period)
        self.keep = keep
        self._saved: int | None = None  # before training there is nothing to save
        if keep < 1:
            raise ValueError(f"keep expects at least 1, got {keep}")

    def before_train(self, trainer: Trainer) -> None:
        """Note what is saved already."""
        self._saved = trainer.iteration

    def is_due(self, trainer: Trainer) -> bool:
        """Return whether it is time."""
        period = self.period.iterations(trainer.iterations_per_epoch)
        return bool(period) and trainer.iteration % period == 0 and trainer.iteration < trainer.num_iterations

    def after_step(self, trainer: Trainer) -> None:
        """Save when it is time."""
        if self.is_due(trainer):
            self.checkpointer.save_training(trainer, keep=self.keep)
            self._saved = trainer.iteration

    def after_train(self, trainer: Trainer) -> None:
        """Save the last state."""
        self.checkpointer.save_training(trainer, name="model_final.pth")
        self._saved = trainer.iteration

    def on_exception(self, trainer: Trainer, error: BaseException) -> None:
        """Save the state after the last whole step, unless it is saved already or not finite, and say so.

        A loss that was not finite came of weights that are worthless, and they are not saved.
        """
        if not is_main_process() or self._saved in (None, trainer.iteration) or not trainer.step_was_finite:
            return
        try:
            trainer.read_losses()
            if (bad := trainer.finite_losses.first_bad) is not None:
                logger.warning("nothing is saved: the loss of iteration %d was not finite", bad.iteration)
                return
            file = self.checkpointer.save_broken_off(trainer)
        except Exception as failed:  # whatever ended the training may keep it from being saved, and is what is to be told
            logger.error("the state after iteration %d could not be saved: %s", trainer.iteration, failed)
            return
        if file is None:
            logger.warning("the state after iteration %d is not saved: it is not finite or half updated", trainer.iteration)
            return
        next_step = (
            "all steps are done, --eval-only evaluates it"
            if trainer.iteration >= trainer.num_iterations
            else "--resume goes on from it"
        )
        logger.warning("broken off after iteration %d; saved in %s: %s", trainer.iteration, file, next_step)


@HOOKS.register()
class BestCheckpoint(Hook):
    """Saves ``model_best.pth`` whenever an evaluation was the best so far. Stands after Evaluation.

    Args:
        checkpointer: writes into the run folder (wired).
        metric: a number of the evaluation, e.g. ``bbox/AP``; with several data sets that of the first one, unless it is
            called by its whole name, ``<data set>/bbox/AP``.
        mode: whether larger or smaller is better.
    """

    stands_after = ("Evaluation", "EMA")

    def __init__(self, checkpointer: Checkpointer, metric: str = "bbox/AP", mode: Literal["max", "min"] = "max") -> None:
        self.checkpointer = checkpointer
        self.watched = WatchedNumber("BestCheckpoint", metric, mode)
        self.best: float | None = None
        self.best_iteration = 0

    def after_step(self, trainer: Trainer) -> None:
        """Compare, if there was an evaluation.

        Raises:
            ConfigError: the evaluation has no such number, see :class:`WatchedNumber`.
        """
        if (found := self.watched.of_this_step(trainer)) is None:
            return
        name, value = found
        if self.watched.is_better(value, self.best):
            self.best, self.best_iteration = value, trainer.iteration
            self.checkpointer.save_model(trainer, "model_best.pth")
            logger.info("best %s so far: %.4f at iteration %d", name, value, trainer.iteration)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value and when it was."""
        return {"best": self.best, "best_iteration": self.best_iteration}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with an earlier best value."""
        self.best, self.best_iteration = state["best"], state["best_iteration"]
