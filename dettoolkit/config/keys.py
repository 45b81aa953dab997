"""Which keys a node of a config has: those of its section, or those of the class that it names."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dettoolkit.errors import ConfigError
from dettoolkit.registry import META_ARCHS, Component, ListOf, MappingOf, Plain, Section, Value
from dettoolkit.registry.schema import Node, parts_of
from dettoolkit.registry.signature import parameters


def inside(schema: Node | None, key: str, node: Any) -> Node | None:
    """Return the schema of what stands under ``key`` of ``node``, or None where nothing is known of it."""
    if isinstance(schema, Section):
        return section_keys(schema, node).get(key)
    if isinstance(schema, (ListOf, MappingOf)):
        return schema.item
    if isinstance(schema, Component):
        with suppress(ConfigError):  # an unknown name is reported where the component is checked
            return _parameter(schema.registry.get(component_name(schema, node)), key)
    return _parameter(schema.cls, key) if isinstance(schema, Plain) else None


def section_keys(schema: Section, node: Any) -> dict[str, Node]:
    """Return the schema of each key of a section; beside META_ARCH stand the parts that it says a model has."""
    keys = dict(schema.keys)
    arch = keys.get("META_ARCH")
    if isinstance(arch, Component):
        chosen = node.get("META_ARCH") if isinstance(node, Mapping) else None
        with suppress(ConfigError):  # an unknown name is reported where META_ARCH itself is checked
            keys |= parts_of(META_ARCHS.get(component_name(arch, chosen)))
    return keys


def default_name(schema: Node | None) -> str | None:
    """Return the ``NAME`` that a component has where the config gives none."""
    return (schema.default or {}).get("NAME") if isinstance(schema, Component) else None


def component_name(schema: Component, node: Any) -> Any:
    """Return the ``NAME`` of a component: its own, or else the default."""
    return node.get("NAME", default_name(schema)) if isinstance(node, Mapping) else default_name(schema)


def _parameter(cls: Any, key: str) -> Node | None:
    part, parameter = parts_of(cls).get(key), parameters(cls).get(key)
    if part is not None or parameter is None:
        return part
    return Value(parameter.annotation, None if parameter.required else parameter.default, "")
