"""The learning rate over time."""

from __future__ import annotations

from typing import Any

from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.trainer import Trainer
from dettoolkit.registry import HOOKS


@HOOKS.register()
class LearningRate(Hook):
    """Sets the learning rate of each step: the rate that the optimizer was built with times the schedule's factor.

    Args:
        schedule: iteration -> factor, with ``multiplier`` (wired).
    """

    def __init__(self, schedule: Any) -> None:
        self.schedule = schedule
        self._rates: list[float] = []

    def before_train(self, trainer: Trainer) -> None:
        """Remember the rate of each parameter group."""
        self._rates = [group["lr"] for group in trainer.optimizer.param_groups]

    def before_step(self, trainer: Trainer) -> None:
        """Set the rate of each parameter group."""
        factor = self.schedule.multiplier(trainer.iteration)
        for group, rate in zip(trainer.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def after_step(self, trainer: Trainer) -> None:
        """Show the rate of the first group."""
        trainer.latest_metrics["lr"] = trainer.optimizer.param_groups[0]["lr"]
