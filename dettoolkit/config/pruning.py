"""The part of a config that differs from the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dettoolkit.config.keys import default_name, inside
from dettoolkit.config.yaml_reader import plain
from dettoolkit.registry import Component, ListOf, Value
from dettoolkit.registry.schema import Node


def without_defaults(data: Mapping[str, Any], schema: Node | None) -> dict[str, Any]:
    """Return what of a config, or of a node of it, is not as it would be without being said.

    Lists are kept or left out whole. A component keeps its ``NAME`` beside other keys, as it is needed to read them.

    Args:
        data: keys and values as in a file.
        schema: of the config or the node.
    """
    kept: dict[str, Any] = {}
    for key, value in data.items():
        inner = inside(schema, key, data)
        if isinstance(inner, Value):
            if plain(value) != plain(inner.default):
                kept[key] = value
        elif isinstance(inner, ListOf):
            items = _items(value, inner)
            if items != _items(inner.default, inner):
                kept[key] = items[0] if inner.or_one and len(items) == 1 else items
        elif isinstance(value, Mapping) and inner is not None:
            node = without_defaults(value, inner)
            if node:
                kept[key] = node
        elif key != "NAME":
            kept[key] = value
    if isinstance(schema, Component) and "NAME" in data and (kept or data["NAME"] != default_name(schema)):
        return {"NAME": data["NAME"], **kept}
    return kept


def _items(value: Any, schema: ListOf) -> list[dict[str, Any]]:
    """Return the components of a list, or the single one in place of it, each without its defaults."""
    return [without_defaults(item, schema.item) for item in ([value] if isinstance(value, Mapping) else value)]
