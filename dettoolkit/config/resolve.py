"""From files and overrides to one checked config."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode

from dettoolkit.config.check import Check, Note
from dettoolkit.config.plugins import find_plugin, import_plugins
from dettoolkit.config.run_keys import RUN_SCHEMA
from dettoolkit.config.yaml_reader import Layer, Path_, dump, parse, plain, read_yaml_file
from dettoolkit.errors import ConfigError, did_you_mean
from dettoolkit.registry import ListOf, Section


@dataclass(frozen=True)
class Resolved:
    """A checked config with what is known of each of its values.

    Args:
        cfg: the complete config, defaults filled in.
        layer: what the files and overrides said, with the place of each value.
        notes: dotted key -> type, home and meaning.
    """

    cfg: CfgNode
    layer: Layer
    notes: dict[str, Note]


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> CfgNode:
    """Load, check and complete a config.

    Args:
        path: a YAML file; a relative one is also looked for among the configs that come with dettoolkit.
        overrides: ``[KEY, VALUE, KEY, VALUE, ...]``; values are read as YAML, list items are named by number
            (``HOOKS.0.PERIOD``).

    Returns:
        Every key with its value, as attributes (``cfg.SOLVER.BASE_LR``).

    Raises:
        ConfigError: all mistakes in one report, each with its key, its place, what is accepted and the nearest name.
    """
    return resolve_config(path, overrides).cfg


def resolve_config(path: str | Path, overrides: Sequence[str] = ()) -> Resolved:
    """Do as :func:`load_config` does, and keep where each value came from."""
    layer = _read_with_bases(find_config(path), ())
    _apply_overrides(layer, overrides)
    layer.data["PLUGINS"] = _plugins(layer)
    check = Check()
    data = check.node(RUN_SCHEMA, layer.data, True, "")
    if check.problems.rows:
        rows = [_located(layer, key, what) for key, what in check.problems.rows]
        count = f"{len(rows)} mistakes" if len(rows) > 1 else "1 mistake"
        raise ConfigError(f"{path}: {count} in the config:\n" + "\n".join(rows))
    return Resolved(CfgNode(plain(data)), layer, check.notes)


def dump_config(cfg: Mapping[str, Any]) -> str:
    """Return a config as YAML text that :func:`load_config` reads back to the same config."""
    return dump(plain(cfg))


def config_files() -> dict[str, Path]:
    """Return the configs that come with dettoolkit by their name, e.g. ``retinanet/retinanet_r50_fpn_1x.yaml``."""
    beside_package = Path(__file__).resolve().parents[2] / "configs"
    if beside_package.is_dir():  # a checkout
        folder = beside_package
    else:
        folder = Path(str(importlib.resources.files("dettoolkit"))) / "configs"
    return {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*.yaml"))}


def find_config(path: str | Path) -> Path:
    """Return the file that ``path`` names, from the current folder or from the shipped configs.

    Raises:
        ConfigError: there is no such file; the nearest shipped one is named.
    """
    if Path(path).is_file():
        return Path(path)
    shipped = config_files()
    name = Path(path).as_posix().removeprefix("configs/")
    if name in shipped:
        return shipped[name]
    raise ConfigError(f"there is no config file {str(path)!r}.{did_you_mean(name, shipped)}")


def _read_with_bases(path: Path, children: tuple[Path, ...]) -> Layer:
    if path.resolve() in children:
        raise ConfigError(f"{path}: _BASE_ goes in a circle: " + " -> ".join(str(child) for child in (*children, path)))
    layer = read_yaml_file(path)
    bases, where = layer.data.pop("_BASE_", []), layer.origin(("_BASE_",))
    merged = Layer()
    for base in [bases] if isinstance(bases, str) else bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str):
            raise ConfigError(f"{where}: _BASE_ expects a path or a list of paths, got {base!r}.")
        beside = path.parent / base
        if not beside.is_file() and base not in config_files():
            raise ConfigError(
                f"{where}: _BASE_ names {base!r}, but there is no file {beside}.{did_you_mean(base, config_files())}"
            )
        _merge(merged, _read_with_bases(beside if beside.is_file() else config_files()[base], (*children, path.resolve())))
    _merge(merged, layer)
    return merged


def _merge(into: Layer, child: Layer) -> None:
    _merge_mapping(into.data, child.data, into.origins, ())
    into.origins.update(child.origins)


def _merge_mapping(into: dict[str, Any], child: Mapping[str, Any], origins: dict[Path_, str], path: Path_) -> None:
    for key, value in child.items():
        present = into.get(key)
        # another NAME is another class: the parameters of the old one would only linger
        replaced = (
            isinstance(value, Mapping)
            and isinstance(present, Mapping)
            and value.get("NAME", present.get("NAME")) != present.get("NAME")
        )
        if isinstance(value, Mapping) and isinstance(present, dict) and not replaced:
            _merge_mapping(present, value, origins, (*path, key))
        else:
            _forget(origins, (*path, key))
            into[key] = plain(value)


def _forget(origins: dict[Path_, str], path: Path_) -> None:
    for old in [old for old in origins if old[: len(path)] == path]:
        del origins[old]


def _apply_overrides(layer: Layer, overrides: Sequence[str]) -> None:
    if len(overrides) % 2:
        raise ConfigError(f"overrides come as KEY VALUE pairs; {overrides[-1]!r} has no value.")
    pairs = [(str(key), str(value)) for key, value in zip(overrides[::2], overrides[1::2], strict=True)]
    # a NAME first, in whatever order they were typed: it discards the parameters of the class that it replaces
    for key, text in sorted(pairs, key=lambda pair: not pair[0].endswith(".NAME")):
        origin = f"override {key}"
        value, _ = parse(text, origin)
        _set(layer, tuple(key.split(".")), value, origin)


def _set(layer: Layer, path: Path_, value: Any, origin: str) -> None:
    node: Any = layer.data
    schema: Any = RUN_SCHEMA
    for depth, part in enumerate(path[:-1]):
        schema = schema.keys.get(part) if isinstance(schema, Section) else schema if isinstance(schema, ListOf) else None
        if isinstance(node, list):
            node = node[_list_index(node, path[: depth + 1], origin)]
        else:
            if node.get(part) is None:
                node[part] = plain(schema.default) if isinstance(schema, ListOf) else {}
            node = node[part]
        if not isinstance(node, (dict, list)):
            raise ConfigError(f"{origin}: {'.'.join(path[: depth + 1])} is {node!r}, which has no {path[depth + 1]!r}.")
    if isinstance(node, list):
        node[_list_index(node, path, origin)] = value
        _forget(layer.origins, path)
    elif path[-1] == "NAME" and node.get("NAME", value) != value:
        node.clear()
        _forget(layer.origins, path[:-1])
        node["NAME"] = value
    else:
        _merge_mapping(node, {path[-1]: value}, layer.origins, path[:-1])
    layer.origins[path] = origin


def _list_index(items: list[Any], path: Path_, origin: str) -> int:
    if not path[-1].isdigit() or int(path[-1]) >= len(items):
        accepted = f"0 to {len(items) - 1}" if items else "nothing: the list is empty"
        raise ConfigError(f"{origin}: {'.'.join(path[:-1])} is a list of {len(items)}; expected {accepted}, got {path[-1]!r}.")
    return int(path[-1])


def _plugins(layer: Layer) -> list[str]:
    names = layer.data.get("PLUGINS") or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"PLUGINS ({layer.origin(('PLUGINS',))}): expected a list of Python files, got {names!r}.")
    file = layer.origin(("PLUGINS",)).rpartition(":")[0]
    paths = [str(find_plugin(name, Path(file).parent if file else None)) for name in names]
    import_plugins(paths)
    return paths


def _located(layer: Layer, key: str, what: str) -> str:
    place = layer.origin(tuple(key.split(".")))
    return f"  {key} ({place}): {what}" if place else f"  {key}: {what}"
