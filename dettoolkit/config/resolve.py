"""From files and overrides to one checked config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode

from dettoolkit.config.check import Checker, Note
from dettoolkit.config.files import find_config, read_with_bases
from dettoolkit.config.layer import Layer, lay_over
from dettoolkit.config.overrides import override_layers
from dettoolkit.config.plugins import find_plugin, import_plugins
from dettoolkit.config.run_keys import RUN_SCHEMA
from dettoolkit.config.yaml_reader import dump, plain
from dettoolkit.errors import ConfigError
from dettoolkit.registry.schema import Problems


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
    problems = Problems()
    layers = [*read_with_bases(find_config(path)), *override_layers(overrides, problems)]
    plugins = _import_plugins(layers, problems)  # first: they register what the rest is checked against
    merged = Layer()
    for layer in layers:
        lay_over(merged, layer, RUN_SCHEMA, problems)
    checker = Checker(problems)
    data = checker.node(RUN_SCHEMA, merged.data, "")
    if problems.rows:
        rows = [_located(merged, key, what) for key, what in problems.rows]
        count = f"{len(rows)} mistakes" if len(rows) > 1 else "1 mistake"
        raise ConfigError(f"{path}: {count} in the config:\n" + "\n".join(rows))
    return Resolved(CfgNode(plain(data | {"PLUGINS": plugins})), merged, checker.notes)


def dump_config(cfg: Mapping[str, Any]) -> str:
    """Return a config as YAML text that :func:`load_config` reads back to the same config."""
    return dump(plain(cfg))


def _import_plugins(layers: Sequence[Layer], problems: Problems) -> list[str]:
    """Import what PLUGINS names and return the absolute paths."""
    only = Layer()
    for layer in layers:
        lay_over(only, layer.only("PLUGINS"), RUN_SCHEMA, Problems())
    names = only.data.get("PLUGINS", [])
    paths = []
    for index, name in enumerate(names if isinstance(names, list) else []):
        if isinstance(name, str):
            file = only.origin(("PLUGINS", str(index))).rpartition(":")[0]  # an override has no file
            try:
                paths.append(str(find_plugin(name, Path(file).parent if file else None)))
                import_plugins(paths[-1:])
            except ConfigError as error:
                problems.add(f"PLUGINS.{index}", str(error))
    return paths


def _located(layer: Layer, key: str, what: str) -> str:
    with_dots = {".".join(path): place for path, place in layer.origins.items()}  # a name may have dots, wrongly
    place = with_dots.get(key) or layer.origin(tuple(key.split(".")))
    return f"  {key} ({place}): {what}" if place else f"  {key}: {what}"
