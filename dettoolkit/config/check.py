"""Checking a config against the run-level keys and the signatures of the components it names; defaults filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dettoolkit.config.keys import component_name, section_keys
from dettoolkit.config.yaml_reader import is_plain, plain
from dettoolkit.errors import ConfigError, shown
from dettoolkit.registry import META_ARCHS, Component, ListOf, MappingOf, Plain, Section, Value
from dettoolkit.registry.schema import Node, Problems, check_keys, check_parameters, parts_of
from dettoolkit.registry.signature import coerce, describe_type, documentation, parameters, place

MISSING: Any = object()  # what a config that says nothing of a key says; null is a value


@dataclass(frozen=True)
class Note:
    """What can be said of a config key.

    Args:
        accepted: the type in words.
        owner: the class that the default and the meaning belong to, or a file.
        words: returns the description (looked up in a docstring only when asked for).
    """

    accepted: str
    owner: Any
    words: Callable[[], str]

    @property
    def home(self) -> str:
        """Where the default and the meaning live."""
        return self.owner if isinstance(self.owner, str) else place(self.owner)


@dataclass
class Checker:
    """One pass over a config.

    Args:
        problems: takes what is wrong.
        notes: takes a note for each key.
    """

    problems: Problems
    notes: dict[str, Note] = field(default_factory=dict)

    def node(self, schema: Node, value: Any, path: str, owner: Any = "dettoolkit/config/run_keys.py") -> Any:
        """Return ``value`` checked and completed.

        Args:
            schema: what is accepted.
            value: plain data, or ``MISSING``.
            path: the dotted key.
            owner: the class or the file that ``schema`` is written in.
        """
        if isinstance(schema, Value):
            return self._value(schema, value, path, owner)
        if isinstance(schema, Component):
            return self._component(schema, value, path)
        self.notes[path] = Note(
            "a list of components" if isinstance(schema, ListOf) else "a mapping", owner, lambda: schema.doc
        )
        if isinstance(schema, ListOf):
            return self._list(schema, value, path)
        if value is not MISSING and not isinstance(value, Mapping):
            self.problems.add(path, f"expected a mapping, got {shown(value)}.")
            return {}
        mapping = {} if value is MISSING else value
        if isinstance(schema, Plain):
            return self._parameters(schema.cls, mapping, path, schema.wired)
        return (
            self._section(schema, mapping, path, owner) if isinstance(schema, Section) else self._names(schema, mapping, path)
        )

    def _value(self, schema: Value, value: Any, path: str, owner: Any) -> Any:
        self.notes[path] = Note(describe_type(schema.annotation), owner, lambda: schema.doc)
        if value is MISSING:
            return schema.default
        try:
            return coerce(value, schema.annotation)
        except ConfigError as error:
            self.problems.add(path, str(error))
            return schema.default

    def _section(self, schema: Section, mapping: Mapping[str, Any], path: str, owner: Any) -> dict[str, Any]:
        keys = section_keys(schema, mapping)
        check_keys(mapping, list(keys), path, path or "A config", self.problems)
        values: dict[str, Any] = {}
        for key, node in keys.items():
            if key not in schema.keys:  # a part of the meta-architecture that stands before it
                owner = META_ARCHS.get(values["META_ARCH"]["NAME"])
            values[key] = self.node(node, mapping.get(key, MISSING), f"{path}.{key}".lstrip("."), owner)
        return values

    def _names(self, schema: MappingOf, mapping: Mapping[str, Any], path: str) -> dict[str, Any]:
        for name in mapping:
            if "." in name:
                self.problems.add(f"{path}.{name}", f"the name {name!r} has a dot, which separates the parts of a key.")
        return {name: self.node(schema.item, item, f"{path}.{name}") for name, item in mapping.items()}

    def _list(self, schema: ListOf, value: Any, path: str) -> list[Any]:
        items = schema.default if value is MISSING else value
        if not isinstance(items, (list, tuple)):
            self.problems.add(path, f"expected a list of components, each a mapping with NAME, got {shown(value)}.")
            return []
        return [self.node(schema.item, item, f"{path}.{index}") for index, item in enumerate(items)]

    def _component(self, schema: Component, value: Any, path: str) -> dict[str, Any]:
        registry = schema.registry
        if value is not MISSING and not isinstance(value, Mapping):
            self.problems.add(path, f"expected a mapping with NAME (one of {registry.name}), got {shown(value)}.")
            return {}
        default, given = schema.default or {}, {} if value is MISSING else value
        name = component_name(schema, given)
        if not isinstance(name, str):
            what = f"expected a string, got {shown(name)}" if "NAME" in given else "is required and missing"
            self.problems.add(f"{path}.NAME", f"{what}: the name of one of {registry.name}.")
            return {}
        try:
            cls = registry.get(name)
        except ConfigError as error:
            self.problems.add(f"{path}.NAME", str(error))
            return {"NAME": name}
        summary = (cls.__doc__ or "").strip().partition("\n\n")[0]
        self.notes[path] = Note("a component", cls, lambda: summary)
        self.notes[f"{path}.NAME"] = Note(f"a name of {registry.name}", cls, lambda: schema.doc or summary)
        node = {**default, **given} if name == default.get("NAME") else dict(given)
        node.pop("NAME", None)
        if hasattr(cls, "from_config"):  # it builds itself: its parts are the keys beside this node
            check_keys(node, [], path, f"{name} (its parts stand beside it)", self.problems)
            return {"NAME": name}
        return {"NAME": name, **self._parameters(cls, node, path, schema.wired)}

    def _parameters(self, cls: type, node: Mapping[str, Any], path: str, wired: tuple[str, ...]) -> dict[str, Any]:
        known, values = parameters(cls), {}
        for key, value in check_parameters(cls, node, path, wired, self.problems).items():
            words = partial(documentation, cls, known[key].name)
            self.notes[f"{path}.{key}"] = Note(describe_type(known[key].annotation), cls, words)
            if is_plain(value):
                values[key] = plain(value)
            elif key in node:  # a path, say, or a member of an enumeration: made of what was written, when it is built
                values[key] = node[key]
        for key, part in parts_of(cls).items():
            values[key] = self.node(part, node.get(key, MISSING), f"{path}.{key}", cls)
        return values
