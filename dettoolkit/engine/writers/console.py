"""Numbers for the person who waits."""

from __future__ import annotations

import datetime as dt
import logging

import torch

from dettoolkit.engine.trainer import Trainer
from dettoolkit.registry import WRITERS

logger = logging.getLogger(__name__)


@WRITERS.register()
class ConsoleWriter:
    """One line with progress, losses, learning rate, speed, the share of waiting for data, and the time that is left."""

    def __init__(self) -> None:
        self._seconds: float | None = None

    def open(self, trainer: Trainer) -> None:
        """Say where the training starts."""
        if trainer.iteration:
            logger.info("resuming at iteration %d of %d", trainer.iteration, trainer.num_iterations)

    def write(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        """Write a line; the numbers of an evaluation have a table of their own in the log."""
        if "time" not in numbers:
            return
        # a moving average: the first steps are slow, and one slow step says little of the hours to come
        self._seconds = numbers["time"] if self._seconds is None else 0.8 * self._seconds + 0.2 * numbers["time"]
        left = dt.timedelta(seconds=round(self._seconds * (trainer.num_iterations - trainer.iteration)))
        losses = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items() if name.startswith("loss"))
        parts = [
            f"{trainer.iteration}/{trainer.num_iterations} (epoch {trainer.epoch:.2f})",
            losses,
            f"lr {numbers['lr']:.3g}" if "lr" in numbers else "",
            f"{numbers['time']:.3f} s/it, {numbers['data_time'] / max(numbers['time'], 1e-9):.0%} waiting for data",
            f"{torch.cuda.max_memory_allocated() / 2**20:.0f} MiB" if trainer.device.type == "cuda" else "",
            f"{left} left",
        ]
        logger.info("  ".join(part for part in parts if part))

    def close(self) -> None:
        """Nothing to close."""
