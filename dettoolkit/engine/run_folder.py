"""The folder of a run: nothing in it is ever overwritten by another run."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

from dettoolkit.checkpoint import read
from dettoolkit.distributed import broadcast_object, is_main_process, restart_count
from dettoolkit.engine.folder_names import existing, latest, next_free, next_numbered
from dettoolkit.errors import CheckpointError, ConfigError

_STARTED_BY = ".started_by"
_WRITTEN = ("config.yaml", "metrics.jsonl")  # by every run, over what is there


class RunFolder:
    """Where a run keeps what it makes.

    ``config.yaml``, ``metrics.jsonl``, ``log.txt``, TensorBoard files, ``checkpoints/``, ``inference/`` and ``report/``.

    Args:
        path: the folder.
        resumes: whether the training goes on from a checkpoint in it.
    """

    def __init__(self, path: Path, resumes: bool = False) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self.resumes = resumes
        self._new: list[Path] = []

    @property
    def config_file(self) -> Path:
        """``config.yaml``: the resolved config of the run."""
        return self.path / "config.yaml"

    @classmethod
    def for_training(cls, name: str, resume: bool) -> RunFolder:
        """Make or enter the folder of a training; all processes must call it.

        Processes that were started again after a failure (``--max-restarts``) go on in the folder that they had, from its
        newest checkpoint if there is one yet.

        Args:
            name: the folder; ``{number}`` in it stands for the next free number, or when resuming the newest with a checkpoint.
            resume: whether to go on from the folder's checkpoint.

        Raises:
            CheckpointError: the folder holds a checkpoint and ``resume`` is false, or the other way round.
            ConfigError: the folder cannot be written, or holds a ``config.yaml`` that no run wrote.
        """
        return _on_main_process(lambda: cls._for_training(name, resume))

    @classmethod
    def for_evaluation(cls, name: str, of_run: bool) -> RunFolder:
        """Make or enter the folder of an evaluation; all processes must call it.

        Args:
            name: the folder; ``{number}`` in it stands for the newest with a checkpoint, or the next free number.
            of_run: whether the folder's own checkpoint is to be evaluated.

        Raises:
            CheckpointError: there is none.
            ConfigError: the folder cannot be written.
        """
        return _on_main_process(lambda: cls._for_evaluation(name, of_run))

    @classmethod
    def _for_training(cls, name: str, resume: bool) -> RunFolder:
        last = cls(latest(name))
        started_again = restart_count() > 0 and last._started_by() == _launcher()
        folder = last if started_again else cls(_latest_with_checkpoint(name) if resume else next_numbered(name))
        checkpoint = folder.newest_checkpoint()
        if resume and checkpoint is None and not started_again:
            raise CheckpointError(f"--resume: {folder.checkpoints} holds no checkpoint to go on from.{folder._instead()}")
        if not (resume or started_again):
            folder._refuse_what_is_there()
        folder.resumes = checkpoint is not None
        folder._make()
        folder._write_new(_STARTED_BY, _launcher())
        return folder

    @classmethod
    def _for_evaluation(cls, name: str, of_run: bool) -> RunFolder:
        folder = cls(_latest_with_checkpoint(name) if of_run else next_numbered(name))
        if of_run and folder.newest_checkpoint() is None:
            hint = " MODEL.WEIGHTS can name a checkpoint anywhere."
            raise CheckpointError(f"--eval-only: {folder.checkpoints} holds no checkpoint.{hint}")
        folder._make()
        return folder

    def _refuse_what_is_there(self) -> None:
        """Raise where a new run would write over what an earlier one, or somebody else, has put here."""
        held = self.newest_checkpoint() or next(iter(self._weights()), None)
        if held is not None:
            go_on = " Go on with it by --resume, or start" if self.newest_checkpoint() else " Start"
            raise CheckpointError(
                f"{self.path} holds the checkpoint of an earlier run ({held.name}).{go_on} a new run with "
                f"OUTPUT_DIR {next_free(self.path)}"
            )
        foreign = [] if self._started_by() else [name for name in _WRITTEN if (self.path / name).exists()]
        if foreign:
            raise ConfigError(
                f"OUTPUT_DIR: {self.path} has a {foreign[0]} that no run wrote, and a run there would write over it. "
                f"Use OUTPUT_DIR {next_free(self.path)}"
            )

    def _instead(self) -> str:
        """Return what can be done where there is nothing to go on from."""
        weights = self._weights()
        if not weights:
            return " Leave --resume out to start."
        return (
            f" {weights[0].name} has weights without the state of a training: start a new run with "
            f"MODEL.WEIGHTS {weights[0]} OUTPUT_DIR {next_free(self.path)}"
        )

    def _weights(self) -> list[Path]:
        return sorted(self.checkpoints.glob("*.pth"))

    def newest_checkpoint(self) -> Path | None:
        """Return the checkpoint that training would go on from: of the most iterations.

        Raises:
            CheckpointError: ``model_final.pth`` cannot be read.
        """
        numbered = max(self.checkpoints.glob("model_[0-9]*.pth"), default=None)
        final = self.checkpoints / "model_final.pth"
        if numbered is None or not final.exists():
            return final if final.exists() else numbered
        # a training that was made longer passes the final checkpoint of the shorter one
        done = int(read(final).get("iteration", 0))
        return final if done >= int(numbered.stem.removeprefix("model_")) else numbered

    def for_another_evaluation(self) -> RunFolder:
        """Return this folder while it has no report, or else the next free ``evaluation`` in it; all processes must call it."""
        return _on_main_process(self._for_another)

    def _for_another(self) -> RunFolder:
        if not (self.path / "report").exists():
            return self
        free = RunFolder(next_free(self.path / "evaluation"))
        free.path.mkdir()
        free._new = [free.path]
        return free

    def inference(self, dataset: str) -> Path:
        """Return the folder for what is inferred on a data set, made if need be."""
        folder = self.predictions(dataset).parent
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def predictions(self, dataset: str) -> Path:
        """Return where the detections of an evaluation on a data set stand; nothing is made."""
        return self.path / "inference" / re.sub(r"[^\w.-]", "_", dataset) / "predictions.json"

    def write_config(self, text: str) -> None:
        """Write ``config.yaml``."""
        self.config_file.write_text(text, encoding="utf-8")

    def _started_by(self) -> str:
        file = self.path / _STARTED_BY
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    def _make(self) -> None:
        """Make the folder and note what of it is new, deepest first."""
        self._new = [path for path in (self.checkpoints, self.path, *self.path.parents) if not path.exists()]
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".writable"
            probe.write_text("", encoding="utf-8")
            probe.unlink()
        except OSError as error:
            self.take_back()
            raise ConfigError(f"OUTPUT_DIR: {self.path} cannot be written: {error.strerror}.") from None

    def _write_new(self, name: str, text: str) -> None:
        file = self.path / name
        if not file.exists():
            self._new.insert(0, file)
        file.write_text(text, encoding="utf-8")

    def take_back(self) -> None:
        """Remove what entering the folder has made, after a start that failed; what was there before stays.

        In a folder that is new, that includes what the start wrote: ``log.txt`` and ``config.yaml``.
        """
        if not is_main_process():
            return
        written = [self.path / name for name in ("log.txt", "config.yaml")] if self.path in self._new else []
        for path in [*written, *self._new]:
            with contextlib.suppress(OSError):  # missing, or a folder that others have put something into
                path.rmdir() if path.is_dir() else path.unlink()


def _on_main_process(find: Callable[[], RunFolder]) -> RunFolder:
    """Return to all processes what ``find`` returns, or raises, in the main one."""
    outcome: RunFolder | Exception | None = None
    if is_main_process():
        try:
            outcome = find()
        except (CheckpointError, ConfigError) as error:
            outcome = error
    outcome = broadcast_object(outcome)
    if isinstance(outcome, Exception):
        raise outcome
    assert outcome is not None
    return outcome


def _launcher() -> str:
    """Return what names the process that starts this one, and starts it again after a failure."""
    return f"{socket.gethostname()} {os.getppid()}"


def _latest_with_checkpoint(name: str) -> Path:
    """Return the folder of the largest number that has a checkpoint; where none has one, of the largest number."""
    numbered = existing(name)
    paths = (numbered[number] for number in sorted(numbered, reverse=True))
    return next((path for path in paths if RunFolder(path).newest_checkpoint()), latest(name))
