"""Checking a config against the run-level keys and the signatures of the components it names; defaults filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dettoolkit.errors import ConfigError
from dettoolkit.registry import META_ARCHS, Component, ListOf, MappingOf, Plain, Section, Value
from dettoolkit.registry.schema import Node, Problems, check_keys, check_parameters, parts_of
from dettoolkit.registry.signature import coerce, describe_type, documentation, parameters, place


@dataclass(frozen=True)
class Note:
    """What can be said of a config key: its type, its default's place, and words.

    Args:
        accepted: the type in words.
        home: where the default and the meaning live.
        words: returns the description (looked up in a docstring only when asked for).
    """

    accepted: str
    home: str
    words: Callable[[], str]


@dataclass
class Check:
    """One pass over a config: the resolved tree, what is wrong, and a note for each key."""

    problems: Problems = field(default_factory=Problems)
    notes: dict[str, Note] = field(default_factory=dict)

    def node(self, schema: Node, value: Any, given: bool, path: str) -> Any:
        """Return ``value`` checked and completed as ``schema`` says; ``given`` tells a null from nothing."""
        if isinstance(schema, Value):
            return self._value(schema, value, given, path)
        self.notes.setdefault(path, Note(type(schema).__name__.lower(), "", lambda: schema.doc))
        if isinstance(schema, ListOf):
            return self._list(schema, value, given, path)
        if isinstance(schema, Component):
            return self._component(schema, value, given, path)
        if given and not isinstance(value, Mapping):
            self.problems.add(path, f"expected a mapping, got {value!r} ({type(value).__name__})")
            return {}
        mapping = value if given else {}
        if isinstance(schema, Section):
            return self._section(schema, mapping, path)
        if isinstance(schema, MappingOf):
            return {name: self.node(schema.item, item, True, _join(path, name)) for name, item in mapping.items()}
        return self._parameters(schema.cls, mapping, path, schema.wired)

    def _value(self, schema: Value, value: Any, given: bool, path: str) -> Any:
        self.notes[path] = Note(describe_type(schema.annotation), "dettoolkit/config/run_keys.py", lambda: schema.doc)
        if not given:
            return schema.default
        try:
            return coerce(value, schema.annotation)
        except ConfigError as error:
            self.problems.add(path, str(error))
            return schema.default

    def _section(self, schema: Section, mapping: Mapping[str, Any], path: str) -> dict[str, Any]:
        keys: dict[str, Node] = dict(schema.keys)
        if "META_ARCH" in keys:  # the meta-architecture says which parts a model has
            keys |= self._model_parts(keys["META_ARCH"], mapping)
        check_keys(mapping, list(keys), path, path or "A config", self.problems)
        return {key: self.node(node, mapping.get(key), key in mapping, _join(path, key)) for key, node in keys.items()}

    @staticmethod
    def _model_parts(schema: Node, mapping: Mapping[str, Any]) -> Mapping[str, Node]:
        default = schema.default if isinstance(schema, Component) and schema.default else {}
        node = mapping.get("META_ARCH")
        name = (node if isinstance(node, Mapping) else default).get("NAME", default.get("NAME"))
        try:
            return parts_of(META_ARCHS.get(name))
        except ConfigError:
            return {}  # the unknown name is reported where META_ARCH itself is checked

    def _list(self, schema: ListOf, value: Any, given: bool, path: str) -> list[Any]:
        items = value if given else list(schema.default)
        if schema.or_one and isinstance(items, Mapping):
            items = [items]
        if not isinstance(items, (list, tuple)):
            self.problems.add(path, f"expected a list of components, each a mapping with NAME, got {value!r}")
            return []
        return [self.node(schema.item, item, True, f"{path}.{index}") for index, item in enumerate(items)]

    def _component(self, schema: Component, value: Any, given: bool, path: str) -> dict[str, Any]:
        default = dict(schema.default or {})
        if given and not isinstance(value, Mapping):
            self.problems.add(path, f"expected a mapping with NAME (one of {schema.registry.name}), got {value!r}")
            return {}
        node = dict(value) if given else default
        if "NAME" not in node and "NAME" in default:
            node["NAME"] = default["NAME"]
        if node.get("NAME") == default.get("NAME"):
            node = default | node
        if not isinstance(node.get("NAME"), str):
            what = "is required and missing" if "NAME" not in node else f"expected a string, got {node['NAME']!r}"
            self.problems.add(f"{path}.NAME", f"{what}: the name of one of {schema.registry.name}.")
            return {}
        try:
            cls = schema.registry.get(node["NAME"])
        except ConfigError as error:
            self.problems.add(f"{path}.NAME", str(error))
            return {"NAME": node["NAME"]}
        self.notes[path] = Note("a component", place(cls), lambda: (cls.__doc__ or "").strip().partition("\n\n")[0])
        self.notes[f"{path}.NAME"] = Note(f"a name of {schema.registry.name}", place(cls), lambda: schema.doc)
        rest = {key: item for key, item in node.items() if key != "NAME"}
        if hasattr(cls, "from_config"):  # it builds itself: its parts are the keys beside this node
            check_keys(rest, [], path, f"{node['NAME']} (its parts stand beside it)", self.problems)
            return {"NAME": node["NAME"]}
        return {"NAME": node["NAME"], **self._parameters(cls, rest, path, schema.wired)}

    def _parameters(self, cls: type, node: Mapping[str, Any], path: str, wired: tuple[str, ...]) -> dict[str, Any]:
        values = check_parameters(cls, node, path, wired, self.problems)
        known = parameters(cls)
        for key in values:
            note = Note(describe_type(known[key].annotation), place(cls), lambda name=known[key].name: documentation(cls, name))
            self.notes[f"{path}.{key}"] = note
        for key, part in parts_of(cls).items():
            values[key] = self.node(part, node.get(key), key in node, f"{path}.{key}")
        return values


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


__all__ = ["Check", "Note", "Plain"]
