"""Config files: the shipped ones by name, and those that a file is based on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from dettoolkit.config.layer import Layer
from dettoolkit.config.yaml_reader import TagReader, parse
from dettoolkit.errors import ConfigError, did_you_mean, shown


def config_files() -> dict[str, Path]:
    """Return the configs that come with dettoolkit by their name, e.g. ``retinanet/retinanet_r50_fpn_1x.yaml``."""
    package = Path(__file__).resolve().parents[1]
    installed, checkout = package / "configs", package.parent / "configs"
    folder = installed if installed.is_dir() else checkout
    return {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*.yaml"))}


def find_config(path: str | Path) -> Path:
    """Return the file that ``path`` names, from the current folder or from the shipped configs.

    Raises:
        ConfigError: there is no such file; where it was looked for, and the nearest one.
    """
    if Path(path).is_file():
        return Path(path)
    shipped = config_files()
    name = Path(path).as_posix().removeprefix("configs/")
    if name in shipped:
        return shipped[name]
    beside = [file.as_posix() for file in sorted(Path(path).parent.glob("*.yaml"))]
    folder = Path(path).absolute().parent
    raise ConfigError(
        f"there is no config file {str(path)!r}, neither in {folder} nor among those of dettoolkit."
        f"{did_you_mean(path, beside) or _nearest_shipped(name, shipped)}"
    )


def _nearest_shipped(name: str, shipped: Mapping[str, Path]) -> str:
    """Return the question for the nearest shipped config; a name without a folder is compared with file names."""
    if "/" in name:
        return did_you_mean(name, shipped)
    by_stem = {Path(other).stem: other for other in shipped}
    near = get_close_matches(Path(name).stem, by_stem, n=1)
    return f" Did you mean {by_stem[near[0]]!r}?" if near else ""


def read_with_bases(path: Path, children: tuple[Path, ...] = ()) -> list[Layer]:
    """Return the layers of a config file: those of the files in its ``_BASE_`` first, in their order, then its own.

    Args:
        path: the file.
        children: the files that led here.

    Raises:
        ConfigError: a file is missing, cannot be read, or is its own base.
    """
    files = (*children, path)
    if path.resolve() in [child.resolve() for child in children]:
        raise ConfigError(f"{path}: _BASE_ goes in a circle: " + " -> ".join(str(file) for file in files))
    layer = read_layer(path)
    where = layer.origin(("_BASE_",))
    given = layer.data.pop("_BASE_", [])
    layer.forget(("_BASE_",))
    bases = given if isinstance(given, list) else [given]
    layers = []
    for base in bases:
        if not isinstance(base, str):
            raise ConfigError(f"{where}: _BASE_: expected a path or a list of paths, got {shown(base)}.")
        layers += read_with_bases(_find_base(base, path.parent, where), files)
    return [*layers, layer]


def _find_base(base: str, folder: Path, where: str) -> Path:
    beside, shipped = Path(os.path.normpath(folder / base)), config_files()
    if beside.is_file():
        return beside
    if base in shipped:
        return shipped[base]
    near = [file.relative_to(folder).as_posix() for file in sorted(folder.glob("*.yaml"))]
    raise ConfigError(f"{where}: _BASE_ names {base!r}, but there is no file {beside}.{did_you_mean(base, [*near, *shipped])}")


def read_layer(path: Path, tags: Mapping[str, TagReader] | None = None) -> Layer:
    """Return what one file says, without its bases.

    Args:
        path: the file.
        tags: YAML tags that are read besides the plain ones.

    Raises:
        ConfigError: the file cannot be read, or holds no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected a YAML file in UTF-8, but byte {error.start} is not UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    data, origins = parse(text, str(path), tags)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping of config keys, got {shown(data)}.")
    return Layer(data, origins)
