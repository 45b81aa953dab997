"""PLUGINS: Python files that register components of the user's own, imported before anything is checked or built."""

from __future__ import annotations

import importlib.util
import sys
import traceback
import zlib
from collections.abc import Sequence
from pathlib import Path

from dettoolkit.errors import ConfigError


def find_plugin(name: str, beside: Path | None) -> Path:
    """Return the absolute path of a plugin file.

    Args:
        name: a path; a relative one is looked for in the current folder, then beside the config file and in its parents.
        beside: the folder of the config that names it, or None.

    Raises:
        ConfigError: there is no such file; the places that were tried are listed.
    """
    folders = [Path.cwd(), *([beside.resolve(), *beside.resolve().parents] if beside else [])]
    for folder in folders:
        candidate = folder / Path(name).expanduser()  # an absolute name stays as it is
        if candidate.is_file() and candidate.suffix == ".py":
            return candidate.resolve()
    tried = ", ".join(dict.fromkeys(str(folder / name) for folder in folders[:3]))
    raise ConfigError(f"there is no Python file {name!r}. Looked at {tried}{', ...' if len(folders) > 3 else ''}.")


def import_plugins(paths: Sequence[str | Path]) -> None:
    """Import plugin files, each once a process.

    The module is named after its path, so that processes which import the same file agree on the names of its classes.

    Raises:
        ConfigError: a file cannot be imported; the error inside it is shown.
    """
    for path in (Path(path).resolve() for path in paths):
        if _is_imported(path):
            continue
        name = f"dettoolkit_plugin_{path.stem}_{zlib.crc32(str(path).encode()):08x}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise ConfigError(f"the plugin {path} is no Python file.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
            where = f"{path}:{lines[-1]}" if lines else str(path)
            raise ConfigError(f"the plugin {where} cannot be imported: {type(error).__name__}: {error}") from error


def _is_imported(path: Path) -> bool:
    """Return whether some module is this file, as a plugin or by an ordinary import."""
    return any(getattr(module, "__dict__", {}).get("__file__") == str(path) for module in list(sys.modules.values()))
