"""Layer: a nested config with the place of each value, and how one is laid over another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dettoolkit.config.keys import default_name, inside
from dettoolkit.config.yaml_reader import KeyPath, plain
from dettoolkit.registry import ListOf, Value
from dettoolkit.registry.schema import Node, Problems


@dataclass
class Layer:
    """A nested config and where each of its values came from.

    Args:
        data: mappings, lists and scalars.
        origins: path -> ``file:line`` or another word for the place.
    """

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def origin(self, path: KeyPath) -> str:
        """Return where the value at ``path`` came from, or else something inside it, or else its nearest parent."""
        place = self.origins.get(path)
        if place is None and path:
            place = next((inner for old, inner in self.origins.items() if old[: len(path)] == path), None)
        while place is None and path:
            path = path[:-1]
            place = self.origins.get(path)
        return place or ""

    def only(self, key: str) -> Layer:
        """Return what the layer says of one top-level key."""
        origins = {path: place for path, place in self.origins.items() if path[:1] == (key,)}
        return Layer({name: value for name, value in self.data.items() if name == key}, origins)

    def forget(self, path: KeyPath) -> None:
        """Drop the places of the value at ``path`` and of all inside it."""
        self.origins = {old: place for old, place in self.origins.items() if old[: len(path)] != path}

    def number(self, path: KeyPath) -> None:
        """Move the places of what was one component at ``path`` to the first item of a list there."""
        depth = len(path)
        self.origins = {
            (*path, "0", *old[depth:]) if old[:depth] == path and len(old) > depth else old: place
            for old, place in self.origins.items()
        }


def lay_over(base: Layer, changes: Layer, schema: Node, problems: Problems) -> None:
    """Lay ``changes`` over ``base``, in place.

    Mappings are merged key by key, except that a component which gets another ``NAME`` is replaced whole: the parameters
    of another class would only linger. Lists are replaced, except by a mapping from numbers, which changes the items with
    these numbers (``HOOKS: {0: {PERIOD: 100}}``, or the override ``HOOKS.0.PERIOD 100``).

    Args:
        base: takes the changes.
        changes: one file or override; used up.
        schema: of the whole config.
        problems: takes numbers that a list does not have.
    """
    _Merger(base, changes, problems).mapping(base.data, changes.data, schema, ())
    base.origins.update(changes.origins)


@dataclass
class _Merger:
    base: Layer
    changes: Layer
    problems: Problems

    def mapping(self, present: dict[str, Any], changes: Mapping[str, Any], schema: Node | None, path: KeyPath) -> None:
        together = {**present, **changes}  # the NAME in it decides which keys there are
        for key, change in changes.items():
            present[key] = self.merged(present.get(key), change, inside(schema, key, together), (*path, key))

    def merged(self, present: Any, change: Any, schema: Node | None, path: KeyPath) -> Any:
        """Return what stands at ``path`` after the change."""
        if isinstance(schema, ListOf) and schema.or_one:
            present, change = self._as_lists(present, change, schema, path)
        if isinstance(change, list):
            self.base.forget(path)
            numbered = ((str(index), item) for index, item in enumerate(change))
            return [self.merged(None, item, inside(schema, index, change), (*path, index)) for index, item in numbered]
        if not isinstance(change, Mapping):
            self.base.forget(path)
            return change
        items = _items(present, schema)
        if items is not None and change and all(key.isdecimal() for key in change):
            return self._numbered(items, change, schema, path)
        if not isinstance(present, dict) or _renames(present, change, schema):
            self.base.forget(path)
            present = {}
        self.mapping(present, change, schema, path)
        return present

    def _as_lists(self, present: Any, change: Any, schema: ListOf, path: KeyPath) -> tuple[Any, Any]:
        """Write a single component as a list of one."""
        items = list(schema.default) if present is None else present
        if isinstance(change, Mapping) and not all(key.isdecimal() for key in change):
            self.changes.number(path)
            change = {"0": change} if isinstance(items, list) and len(items) == 1 else [change]
        return items, change

    def _numbered(self, items: list[Any], changes: Mapping[str, Any], schema: Node | None, path: KeyPath) -> list[Any]:
        for key, change in changes.items():
            if int(key) < len(items):
                items[int(key)] = self.merged(items[int(key)], change, inside(schema, key, items), (*path, key))
            else:
                accepted = f"0 to {len(items) - 1}" if items else "none: it is empty"
                self.problems.add(".".join((*path, key)), f"the list has no item {key}; accepted: {accepted}.")
        return items


def _items(present: Any, schema: Node | None) -> list[Any] | None:
    """Return the list whose items numbers may name: the one that is there, or else the default; None where there is none."""
    if present is None and isinstance(schema, (ListOf, Value)):
        present = schema.default
    return plain(present) if isinstance(present, (list, tuple)) else None


def _renames(present: Mapping[str, Any], change: Mapping[str, Any], schema: Node | None) -> bool:
    name = present.get("NAME", default_name(schema))
    return bool(change.get("NAME", name) != name)
