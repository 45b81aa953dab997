"""Numbers for TensorBoard."""

from __future__ import annotations

from typing import Any

from dettoolkit.engine.trainer import Trainer
from dettoolkit.registry import WRITERS


@WRITERS.register()
class TensorBoardWriter:
    """TensorBoard event files in the run folder.

    Args:
        folder: of the run (wired).
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._writer: Any = None

    def open(self, trainer: Trainer) -> None:
        """Start a file; points of steps that are done again are dropped."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(self.folder, purge_step=trainer.iteration + 1)

    def write(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        """Add a point to each curve."""
        for name, value in numbers.items():
            self._writer.add_scalar(name if "/" in name else f"train/{name}", value, trainer.iteration)

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
