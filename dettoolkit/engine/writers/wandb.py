"""Numbers for Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import MissingDependencyError
from dettoolkit.registry import WRITERS


@WRITERS.register()
class WandbWriter:
    """A Weights & Biases run (extra ``wandb``), named after the run folder; a resumed training goes on with it.

    Args:
        folder: of the run (wired).
        project: the project on the server.
        mode: ``offline`` keeps everything in the run folder, to be sent later by ``wandb sync``.

    Raises:
        MissingDependencyError: wandb is not installed.
    """

    is_elsewhere = True

    def __init__(self, folder: str, project: str = "dettoolkit", mode: Literal["online", "offline"] = "online") -> None:
        try:
            import wandb
        except ImportError as error:
            raise MissingDependencyError("WandbWriter needs wandb: pip install 'dettoolkit[wandb]'") from error
        self._wandb = wandb
        self.folder, self.project, self.mode = Path(folder), project, mode
        self._run: Any = None

    def open(self, trainer: Trainer) -> None:
        """Start the run, or go on with it."""
        name = self.folder.name
        self._run = self._wandb.init(
            project=self.project, name=name, id=name, dir=str(self.folder), mode=self.mode, resume="allow"
        )

    def write(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        """Add a point to each curve."""
        self._run.log(numbers, step=trainer.iteration)

    def close(self) -> None:
        """Send what is left."""
        if self._run is not None:
            self._run.finish()
