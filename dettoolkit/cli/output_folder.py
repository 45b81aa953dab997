"""Folders that commands write into: nothing in them is ever overwritten."""

from __future__ import annotations

from pathlib import Path

from dettoolkit.engine.folder_names import next_free
from dettoolkit.errors import ConfigError


def claim_folder(path: str | Path, option: str = "--output") -> Path:
    """Return the folder at ``path``, made where it is missing; ``option`` is the argument that named it.

    Raises:
        ConfigError: there is something in it (the next free name is told), or it cannot be made.
    """
    folder = Path(path)
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ConfigError(
                f"{option}: {folder} is there and not empty; nothing in it is overwritten. Free: {option} {next_free(folder)}"
            )
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{option}: {folder} cannot be written: {error.strerror}.") from None
    return folder
