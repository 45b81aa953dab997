"""Which files a prediction is asked for."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from dettoolkit.errors import DataError, did_you_mean, listed

logger = logging.getLogger(__name__)

IMAGE_ENDINGS = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp"),
    *(".npy", ".pbm", ".pgm", ".pnm", ".ppm"),
)
VIDEO_ENDINGS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")


def is_video(path: Path) -> bool:
    """Return whether a file is taken for a video: by the ending of its name."""
    return path.suffix.lower() in VIDEO_ENDINGS


def find_input_files(inputs: Sequence[str]) -> list[Path]:
    """Return the images and videos that ``inputs`` name, each once, in their order; those of a folder or glob by name.

    Args:
        inputs: files, taken whatever their names end in; folders, with all folders inside, and globs (``**`` goes through
            folders), of which files that end like images or videos are taken, except hidden ones (``.name``).

    Raises:
        DataError: a file is missing, or a folder or glob has no image and no video.
    """
    found: dict[Path, Path] = {}
    for name in inputs:
        for file in _files(name):
            found.setdefault(Path(os.path.abspath(file)), file)  # links keep their own names
    return list(found.values())


def _files(name: str) -> list[Path]:
    path = Path(name).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        inside = (file for file in path.rglob("*") if not any(part.startswith(".") for part in file.relative_to(path).parts))
        return _of_known_endings(name, sorted(inside))
    if glob.has_magic(name):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        if not matches:
            raise DataError(f"{name}: no file is named like that.")
        return _of_known_endings(name, matches)
    near = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
    raise DataError(f"{name}: there is no such file or folder.{did_you_mean(path.name, near)}")


def _of_known_endings(name: str, paths: Sequence[Path]) -> list[Path]:
    known: list[Path] = []
    others: list[str] = []
    for path in paths:
        if path.suffix.lower() in IMAGE_ENDINGS + VIDEO_ENDINGS and path.is_file():
            known.append(path)
        elif path.is_file():
            others.append(path.name)
    if not known:
        raise DataError(
            f"{name}: expected images or videos, found {len(others)} other files. "
            f"Names must end in {listed(IMAGE_ENDINGS + VIDEO_ENDINGS)}."
        )
    if others:
        logger.warning("%s: left out as neither images nor videos by their names: %s", name, listed(others, 5))
    return known
