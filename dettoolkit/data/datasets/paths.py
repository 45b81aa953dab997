"""Where the files of a data set lie, and what is said when they do not."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath

from dettoolkit.errors import DataError, did_you_mean, listed


class AbsentError(DataError):
    """A file or folder that the config names is not there."""


def existing_file(path: Path, what: str) -> Path:
    """Return ``path``.

    Raises:
        AbsentError: no file is there; the message says what it should have been, and the nearest name that is there.
    """
    if not path.is_file():
        raise AbsentError(f"{path}: no such {what}.{_nearest(path)}")
    return path


def existing_folder(path: Path, what: str) -> Path:
    """Return ``path``.

    Raises:
        AbsentError: no folder is there; the message says what it should have been, and the nearest name that is there.
    """
    if not path.is_dir():
        raise AbsentError(f"{path}: no such folder of {what}.{_nearest(path)}")
    return path


def leaves_folder(file_name: str) -> bool:
    """Whether a file name from an annotation file leads out of the folder of the images."""
    windows = PureWindowsPath(file_name)  # its rules cover those of POSIX: both slashes, drives
    return bool(windows.drive or windows.root) or os.path.normpath(file_name.replace("\\", "/")).startswith("..")


def _nearest(path: Path) -> str:
    while not path.parent.is_dir():
        path = path.parent
    there = sorted(entry.name for entry in path.parent.iterdir())
    near = did_you_mean(path.name, there)
    return f"{near or f' {path.parent} has: {listed(there, 8)}.'} Paths in the config are relative to DATASETS.ROOT."
