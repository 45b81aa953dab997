"""Numbers for Weights & Biases."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Literal

from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import MissingDependencyError
from dettoolkit.registry import WRITERS

_RUN_ID = ".wandb_run_id"


@WRITERS.register()
class WandbWriter:
    """A Weights & Biases run (extra ``wandb``), named after the run folder; a resumed training goes on with it.

    The run folder keeps the run's id in ``.wandb_run_id``: folders elsewhere may have the same name.

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
        name, file = self.folder.name, self.folder / _RUN_ID
        if not trainer.iteration:
            self.folder.mkdir(parents=True, exist_ok=True)
            file.write_text(uuid.uuid4().hex[:12], encoding="utf-8")
        run_id = file.read_text(encoding="utf-8").strip() if file.is_file() else name  # of a run begun without the file
        self._run = self._wandb.init(
            project=self.project, name=name, id=run_id, dir=str(self.folder), mode=self.mode, resume="allow"
        )

    def write(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        """Add a point to each curve."""
        self._run.log(numbers, step=trainer.iteration)

    def close(self) -> None:
        """Send what is left."""
        if self._run is not None:
            self._run.finish()
