"""The folder of a run: nothing in it is ever overwritten by another run."""

from __future__ import annotations

import re
from pathlib import Path

from dettoolkit.distributed import broadcast_object, is_main_process
from dettoolkit.errors import CheckpointError, ConfigError

_NUMBER = "{number}"


class RunFolder:
    """Where a run keeps what it makes.

    ``config.yaml``, ``metrics.jsonl``, ``log.txt``, TensorBoard files, ``checkpoints/``, ``inference/<data set>/`` and ``report/``.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"

    @classmethod
    def open(cls, name: str, resume: bool, evaluate_only: bool = False) -> RunFolder:
        """Make or enter the folder of a run; all processes must call it.

        Args:
            name: the folder; ``{number}`` in it stands for the next free number, or the newest one when resuming.
            resume: whether the folder's checkpoint is wanted.
            evaluate_only: whether nothing is trained, so that the folder may hold checkpoints.

        Raises:
            CheckpointError: the folder holds a checkpoint and ``resume`` is false, or the other way round.
            ConfigError: the folder cannot be written.
        """
        error: Exception | None = None
        folder: RunFolder | None = None
        if is_main_process():
            try:
                folder = cls(_numbered(name, resume or evaluate_only))
                folder._check(resume, evaluate_only)
            except (CheckpointError, ConfigError) as caught:
                error = caught
        error, path = broadcast_object((error, folder and folder.path))
        if error is not None:
            raise error
        return cls(path)

    def newest_checkpoint(self) -> Path | None:
        """Return the checkpoint that training would go on from: of the most iterations."""
        files = list(self.checkpoints.glob("model_[0-9]*.pth"))
        final = self.checkpoints / "model_final.pth"
        return final if final.exists() else max(files, default=None)

    def inference(self, dataset: str) -> Path:
        """Return the folder for what is inferred on a data set, made if need be."""
        folder = self.path / "inference" / re.sub(r"[^\w.-]", "_", dataset)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _check(self, resume: bool, evaluate_only: bool) -> None:
        newest = self.newest_checkpoint()
        if resume and newest is None:
            raise CheckpointError(f"--resume: {self.checkpoints} holds no checkpoint to go on from. Leave --resume out to start.")
        if newest is not None and not resume and not evaluate_only:
            raise CheckpointError(
                f"{self.path} holds the checkpoint of an earlier run ({newest.name}). Go on with it by --resume, "
                f"or start a new run with OUTPUT_DIR {_next_free(self.path)}"
            )
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".writable"
            probe.write_text("", encoding="utf-8")
            probe.unlink()
        except OSError as error:
            raise ConfigError(f"OUTPUT_DIR: {self.path} cannot be written: {error.strerror}.") from None


def _numbered(name: str, newest: bool) -> Path:
    if _NUMBER not in name:
        return Path(name)
    number = 1
    while Path(name.replace(_NUMBER, str(number))).exists():
        number += 1
    return Path(name.replace(_NUMBER, str(max(1, number - 1 if newest else number))))


def _next_free(path: Path) -> Path:
    stem, number = re.fullmatch(r"(.*?)(?:_(\d+))?", path.name).groups()  # type: ignore[union-attr]
    count = int(number or 1) + 1
    while (path.parent / f"{stem}_{count}").exists():
        count += 1
    return path.parent / f"{stem}_{count}"
