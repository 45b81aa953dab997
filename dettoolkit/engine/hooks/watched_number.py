"""A number of the evaluations that something depends on."""

from __future__ import annotations

import logging
import math
from typing import Literal

from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import ConfigError, did_you_mean, listed

logger = logging.getLogger(__name__)


class WatchedNumber:
    """A number of the evaluations, and which of two is the better one.

    Args:
        hook: whose it is, for messages.
        metric: its name, e.g. ``bbox/AP``; with several data sets that of the first one, unless it is called by its whole
            name, ``<data set>/bbox/AP``.
        mode: whether larger or smaller is better.
    """

    def __init__(self, hook: str, metric: str, mode: Literal["max", "min"]) -> None:
        self.hook, self.metric, self.mode = hook, metric, mode

    def of_this_step(self, trainer: Trainer) -> tuple[str, float] | None:
        """Return the whole name and the value, if there was an evaluation after this step.

        Raises:
            ConfigError: the evaluation has no such number; the message has the nearest and all there are. After the last
                step this is only logged, so that the training is not lost.
        """
        if not trainer.recorded:
            return None
        name = self._name(list(trainer.recorded))
        if name is not None:
            return name, trainer.recorded[name]
        message = self._unknown(list(trainer.recorded))
        if trainer.iteration < trainer.num_iterations:
            raise ConfigError(message)
        logger.error(message)
        return None

    def is_better(self, value: float, than: float | None, by: float = 0.0) -> bool:
        """Return whether ``value`` is better by more than ``by``; than None any number is, and what is no number never is."""
        if than is None or math.isnan(value):
            return not math.isnan(value)
        return value - than > by if self.mode == "max" else than - value > by

    def _name(self, names: list[str]) -> str | None:
        of_data_sets = [name for name in names if name.endswith(f"/{self.metric}")]
        return self.metric if self.metric in names else next(iter(of_data_sets), None)

    def _unknown(self, names: list[str]) -> str:
        hint = did_you_mean(self.metric, names)
        return f"{self.hook}.METRIC: the evaluation has no {self.metric!r}.{hint} It has: {listed(names)}."
