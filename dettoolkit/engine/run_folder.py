"""The folder of a run: nothing in it is ever overwritten by another run."""

from __future__ import annotations

import glob
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

from dettoolkit.checkpoint import read
from dettoolkit.distributed import broadcast_object, is_main_process, restart_count
from dettoolkit.errors import CheckpointError, ConfigError

_NUMBER = "{number}"
_STARTED_BY = ".started_by"


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
            name: the folder; ``{number}`` in it stands for the next free number, or the newest one when resuming.
            resume: whether to go on from the folder's checkpoint.

        Raises:
            CheckpointError: the folder holds a checkpoint and ``resume`` is false, or the other way round.
            ConfigError: the folder cannot be written.
        """
        return _on_main_process(lambda: cls._for_training(name, resume))

    @classmethod
    def for_evaluation(cls, name: str, of_run: bool) -> RunFolder:
        """Make or enter the folder of an evaluation; all processes must call it.

        Args:
            name: the folder; ``{number}`` in it stands for the newest one of a run, or the next free number.
            of_run: whether the folder's own checkpoint is to be evaluated.

        Raises:
            CheckpointError: there is none.
            ConfigError: the folder cannot be written.
        """
        return _on_main_process(lambda: cls._for_evaluation(name, of_run))

    @classmethod
    def _for_training(cls, name: str, resume: bool) -> RunFolder:
        folder = cls(_numbered(name, newest=True))
        started_again = restart_count() > 0 and folder._started_by() == _launcher()
        if not (resume or started_again):
            folder = cls(_numbered(name, newest=False))
        checkpoint = folder.newest_checkpoint()
        if resume and checkpoint is None and not started_again:
            hint = _holders(name) or " Leave --resume out to start."
            raise CheckpointError(f"--resume: {folder.checkpoints} holds no checkpoint to go on from.{hint}")
        if checkpoint is not None and not resume and not started_again:
            raise CheckpointError(
                f"{folder.path} holds the checkpoint of an earlier run ({checkpoint.name}). Go on with it by --resume, "
                f"or start a new run with OUTPUT_DIR {next_free(folder.path)}"
            )
        folder.resumes = checkpoint is not None
        (folder._made().path / _STARTED_BY).write_text(_launcher(), encoding="utf-8")
        return folder

    @classmethod
    def _for_evaluation(cls, name: str, of_run: bool) -> RunFolder:
        folder = cls(_numbered(name, newest=of_run))
        if of_run and folder.newest_checkpoint() is None:
            hint = _holders(name) or " MODEL.WEIGHTS can name a checkpoint anywhere."
            raise CheckpointError(f"--eval-only: {folder.checkpoints} holds no checkpoint.{hint}")
        return folder._made()

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
        return _on_main_process(lambda: RunFolder(self._free_for_evaluation()))

    def _free_for_evaluation(self) -> Path:
        if not (self.path / "report").exists():
            return self.path
        free = next_free(self.path / "evaluation")
        free.mkdir()
        return free

    def inference(self, dataset: str) -> Path:
        """Return the folder for what is inferred on a data set, made if need be."""
        folder = self.path / "inference" / re.sub(r"[^\w.-]", "_", dataset)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def write_config(self, text: str) -> None:
        """Write ``config.yaml``."""
        self.config_file.write_text(text, encoding="utf-8")

    def _started_by(self) -> str:
        file = self.path / _STARTED_BY
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    def _made(self) -> RunFolder:
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".writable"
            probe.write_text("", encoding="utf-8")
            probe.unlink()
        except OSError as error:
            raise ConfigError(f"OUTPUT_DIR: {self.path} cannot be written: {error.strerror}.") from None
        return self


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


def _existing(name: str) -> dict[int, Path]:
    """Return the folders that there are, by the number in place of ``{number}``."""
    before, after = name.split(_NUMBER, 1)
    paths = glob.glob(f"{glob.escape(before)}*{glob.escape(after)}")
    matches = {path: re.fullmatch(rf"{re.escape(before)}(\d+){re.escape(after)}", path) for path in paths}
    return {int(match[1]): Path(path) for path, match in matches.items() if match}


def _numbered(name: str, newest: bool) -> Path:
    if _NUMBER not in name:
        return Path(name)
    last = max(_existing(name), default=0)
    return Path(name.replace(_NUMBER, str(max(1, last) if newest else last + 1)))


def _holders(name: str) -> str:
    """Return which folder of another number holds a checkpoint, or nothing."""
    numbered = _existing(name) if _NUMBER in name else {}
    for _, path in sorted(numbered.items(), reverse=True):
        if RunFolder(path).newest_checkpoint():
            return f" The newest run with one is OUTPUT_DIR {path}"
    return ""


def next_free(path: Path) -> Path:
    """Return ``path``, or the first of ``path_2``, ``path_3``, ... that does not exist; a number that is there counts on."""
    stem, number = re.fullmatch(r"(.*?)(?:_(\d+))?", path.name).groups()  # type: ignore[union-attr]
    candidate, count = path, int(number or 1)
    while candidate.exists():
        count += 1
        candidate = path.with_name(f"{stem}_{count}")
    return candidate
