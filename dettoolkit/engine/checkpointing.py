"""The state of a training: saving it and going on from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dettoolkit.checkpoint import load_weights, read, write
from dettoolkit.distributed import barrier, is_main_process
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.errors import CheckpointError
from dettoolkit.structures import DatasetInfo

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
        self._facts = {"config": config_text, "dataset": info.to_dict()}

    def save_model(self, trainer: Trainer, name: str) -> None:
        """Write weights, config and classes: all that a predictor needs."""
        self._write(trainer, name, {})

    def save_training(self, trainer: Trainer, name: str | None = None, keep: int | None = None) -> None:
        """Write the model and all that training needs to go on.

        Args:
            trainer: at the end of a step.
            name: of the file; ``model_<iteration>.pth`` when left out.
            keep: how many of the files named after iterations stay.
        """
        state = trainer.state_dict() | {"loader": trainer.batches.state_dict()}  # type: ignore[attr-defined]
        self._write(trainer, name or f"model_{trainer.iteration:08d}.pth", {"training": state})
        if keep is not None and is_main_process():
            for old in sorted(self.folder.checkpoints.glob("model_[0-9]*.pth"))[:-keep]:
                old.unlink()

    def resume(self, trainer: Trainer) -> None:
        """Go on from the newest checkpoint of the folder.

        Raises:
            CheckpointError: it is damaged, holds no state of a training, or does not fit the config.
        """
        path = self.folder.newest_checkpoint()
        assert path is not None, "RunFolder.for_training has checked that there is one"
        state = read(path).get("training")
        if state is None:
            raise CheckpointError(
                f"{path} holds weights without the state of a training, so --resume cannot go on from it. "
                "Start a new run with it as MODEL.WEIGHTS."
            )
        load_weights(trainer.model, path)
        try:
            trainer.load_state_dict(state)
            trainer.batches.load_state_dict(state["loader"])  # type: ignore[attr-defined]
        except CheckpointError as error:
            raise CheckpointError(f"--resume from {path}: {error}") from error

    def _write(self, trainer: Trainer, name: str, more: dict[str, Any]) -> None:
        if is_main_process():
            model = {key: value.detach().cpu() for key, value in trainer.model_for_evaluation.state_dict().items()}
            write(self.folder.checkpoints / name, {"model": model, "iteration": trainer.iteration, **self._facts, **more})
        barrier()
