"""``KEY VALUE`` overrides as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dettoolkit.config.layer import Layer
from dettoolkit.config.yaml_reader import KeyPath, parse
from dettoolkit.errors import ConfigError, shown
from dettoolkit.registry.schema import Problems


def override_layers(overrides: Sequence[str], problems: Problems) -> list[Layer]:
    """Return a layer for each ``KEY VALUE`` pair, in the order in which they are laid over the files.

    The order in which they were typed matters only for the same key: a node comes before what is inside it, and a
    ``NAME`` before the parameters beside it, since it discards those of the class that it replaces.

    Args:
        overrides: ``[KEY, VALUE, KEY, VALUE, ...]``; values are read as YAML, an empty one is the empty string.
        problems: takes values that are not YAML.

    Raises:
        ConfigError: a key has no value.
    """
    if len(overrides) % 2:
        key, equals, value = overrides[-1].partition("=")
        hint = f" Did you mean {key} {value}?" if equals else ""
        raise ConfigError(f"overrides come as KEY VALUE pairs; {overrides[-1]!r} has no value.{hint}")
    pairs = [(tuple(str(key).split(".")), str(text)) for key, text in zip(overrides[::2], overrides[1::2], strict=True)]
    ordered = sorted(pairs, key=lambda pair: (len(pair[0]), pair[0][-1] != "NAME"))
    return [_layer(path, text, problems) for path, text in ordered]


def _layer(path: KeyPath, text: str, problems: Problems) -> Layer:
    key = ".".join(path)
    try:
        value, origins = parse(text, "line") if text.strip() else ("", {})
    except ConfigError as error:
        problems.add(key, f"the override {shown(text)} cannot be read: {error}")
        return Layer()
    nested: Any = value
    for part in reversed(path):
        nested = {part: nested}
    return Layer(nested, {(*path, *inner): f"override {key}" for inner in ((), *origins)})
