"""The state of a training: saving it and going on from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from dettoolkit.checkpoint import load_weights, read, write
from dettoolkit.distributed import barrier, is_main_process
from dettoolkit.engine.classes import check_classes_of_resumed
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.errors import CheckpointError
from dettoolkit.inference.stored_detector import SCORE_THRESHOLDS, thresholds_of_checkpoint
from dettoolkit.structures import DatasetInfo, ScoreThresholds

if TYPE_CHECKING:
    from dettoolkit.engine.trainer import Trainer


class Checkpointer:
    """Writes checkpoints into a run folder: tensors and plain data only, with config and classes.

    Args:
        folder: of the run.
        config_text: the resolved config as YAML.
        info: classes and category ids, for whoever predicts with the file.
    """

    def __init__(self, folder: RunFolder, config_text: str, info: DatasetInfo) -> None:
        self.folder = folder
        self._info = info
        self._facts = {"config": config_text, "dataset": info.to_dict()}
        self._thresholds: tuple[int, dict[str, Any]] | None = None

    def keep_thresholds(self, iteration: int, thresholds: ScoreThresholds | None) -> None:
        """Write score thresholds into the checkpoints of an iteration; those of others were measured on other weights."""
        self._thresholds = None if thresholds is None else (iteration, thresholds.to_dict())

    def save_model(self, trainer: Trainer, name: str) -> None:
        """Write weights, config and classes: all that a predictor needs."""
        self._write(trainer, name, {})
        barrier()

    def save_training(self, trainer: Trainer, name: str | None = None, keep: int | None = None) -> None:
        """Write the model and all that training needs to go on.

        Args:
            trainer: at the end of a step.
            name: of the file; ``model_<iteration>.pth`` when left out.
            keep: how many of the files named after iterations stay.
        """
        self._write(trainer, name or _numbered(trainer), {"training": trainer.state_dict() | {"loader": _place(trainer)}})
        barrier()
        if keep is not None and is_main_process():
            for old in sorted(self.folder.checkpoints.glob("model_[0-9]*.pth"))[:-keep]:
                old.unlink()

    def save_broken_off(self, trainer: Trainer) -> Path | None:
        """Write the state after the last whole step, of a training that an exception ends; call it in the main process.

        It waits for no other process. Running statistics of batch norm may have seen the images of the broken step.

        Returns:
            The file, or None where the state is not to be trusted: not finite, or in the middle of an update.

        Raises:
            CheckpointError: it cannot be written.
        """
        state = trainer.state_dict()
        if trainer.is_updating or not _is_finite(
            [trainer.model_for_evaluation.state_dict(), state["optimizer"], state.get("model")]
        ):
            return None
        self._write(trainer, _numbered(trainer), {"training": state | {"loader": _place(trainer)}})
        return self.folder.checkpoints / _numbered(trainer)

    def resume(self, trainer: Trainer) -> None:
        """Go on from the newest checkpoint of the folder.

        Raises:
            CheckpointError: it is damaged, holds no state of a training, or does not fit the config.
        """
        path = self.folder.newest_checkpoint()
        assert path is not None, "RunFolder.for_training has checked that there is one"
        data = read(path)
        state = data.get("training")
        if state is None:
            raise CheckpointError(
                f"{path} holds weights without the state of a training, so --resume cannot go on from it. "
                "Start a new run with it as MODEL.WEIGHTS."
            )
        check_classes_of_resumed(path, data.get("dataset"), self._info)
        load_weights(trainer.model, path)
        self.keep_thresholds(int(data.get("iteration", 0)), thresholds_of_checkpoint(path, data))
        try:
            trainer.load_state_dict(state)
            trainer.batches.load_state_dict(state["loader"])  # type: ignore[attr-defined]
        except CheckpointError as error:
            raise CheckpointError(f"--resume from {path}: {error}") from error

    def _write(self, trainer: Trainer, name: str, more: dict[str, Any]) -> None:
        if is_main_process():
            model = {key: value.detach().cpu() for key, value in trainer.model_for_evaluation.state_dict().items()}
            facts = self._facts | self._measured(trainer.iteration) | more
            write(self.folder.checkpoints / name, {"model": model, "iteration": trainer.iteration, **facts})

    def _measured(self, iteration: int) -> dict[str, Any]:
        is_of_it = self._thresholds is not None and self._thresholds[0] == iteration
        return {SCORE_THRESHOLDS: self._thresholds[1]} if self._thresholds is not None and is_of_it else {}


def _place(trainer: Trainer) -> dict[str, Any]:
    """Return the place in the stream of batches after those that were learned from.

    The loader may have handed out more: one ahead of the GPU, or for a step that broke off.
    """
    return trainer.batches.state_dict() | {"batches_taken": trainer.iteration}  # type: ignore[attr-defined]


def _numbered(trainer: Trainer) -> str:
    return f"model_{trainer.iteration:08d}.pth"


def _is_finite(state: Any) -> bool:
    """Return whether every number in nested lists and dicts of tensors and plain data is finite."""
    if isinstance(state, Tensor):
        return not state.is_floating_point() or bool(state.isfinite().all())
    if isinstance(state, (Mapping, list, tuple)):
        return all(map(_is_finite, state.values() if isinstance(state, Mapping) else state))
    return not isinstance(state, float) or math.isfinite(state)
