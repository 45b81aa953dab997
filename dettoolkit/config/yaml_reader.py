"""YAML with the place of every value: the core schema of YAML 1.2, safe tags only, duplicate keys refused."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import yaml

from dettoolkit.errors import ConfigError

KeyPath: TypeAlias = tuple[str, ...]
TagReader: TypeAlias = Callable[[yaml.Node, str], Any]

_TAG = "tag:yaml.org,2002:"
# YAML 1.2 core schema, section 10.3.2: `off` and `no` are strings there, 1e-4 is a number
_SCALARS = (
    (f"{_TAG}null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    (f"{_TAG}bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    (f"{_TAG}int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")),
    (
        f"{_TAG}float",
        re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
        list("-+0123456789."),
    ),
)
_PATTERNS = {tag: pattern for tag, pattern, _ in _SCALARS} | {f"{_TAG}str": re.compile("")}
_MAX_VALUES = 100_000  # aliases can make a short file describe billions of values
_MAX_DEPTH = 50


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own attribute)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:  # a list that two components share is written twice
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    # PyYAML folds these line breaks of Unicode into spaces, except between double quotes
    style = '"' if any(separator in text for separator in "\x85\u2028\u2029") else None
    return dumper.represent_scalar(f"{_TAG}str", text, style=style)


_Dumper.add_representer(str, _represent_text)
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)


def parse(text: str, source: str, tags: Mapping[str, TagReader] | None = None) -> tuple[Any, dict[KeyPath, str]]:
    """Return the value that ``text`` describes and the place (``source:line``) of each part of it.

    Args:
        text: YAML.
        source: what places begin with: the file.
        tags: further tags that are read, each by a function of the node and its place.

    Raises:
        ConfigError: the text is not YAML, has a tag that is not plain, or a key twice.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{source}{line}: not valid YAML: {error.problem or error.context}.") from None
    except yaml.reader.ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{source}:{number}: not valid YAML: it has the character {chr(error.character)!r}.") from None
    except RecursionError:
        raise ConfigError(f"{source}: nested deeper than {_MAX_DEPTH} levels.") from None
    reader = _Reader(source, tags or {})
    return (None if node is None else reader.value(node, ())), reader.origins


def dump(data: Any, compact: bool = False) -> str:
    """Return plain data as YAML that :func:`parse` reads back to the same data.

    Args:
        data: mappings, lists and scalars.
        compact: whether a mapping or list of scalars alone stands in one line, in braces or brackets.
    """
    style = None if compact else False
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=style)


def plain(value: Any) -> Any:
    """Return a copy made of dict, list and scalars only."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def is_plain(value: Any) -> bool:
    """Return whether YAML can write ``value``: scalars, and mappings and lists of them."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(is_plain(item) for item in value)
    return value is None or type(value) in (str, bool, int, float)


class _Reader:
    """Turns YAML nodes into values and notes the line of each."""

    def __init__(self, source: str, tags: Mapping[str, TagReader]) -> None:
        self.source = source
        self.tags = tags
        self.origins: dict[KeyPath, str] = {}
        self._count = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        where = self._place(node)
        self._count += 1
        if self._count > _MAX_VALUES or len(path) > _MAX_DEPTH:
            raise ConfigError(f"{where}: more than {_MAX_VALUES} values or {_MAX_DEPTH} levels (aliases that multiply?).")
        if path:
            self.origins.setdefault(path, where)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.value(item, (*path, str(index))) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _PATTERNS:
            return _scalar(node, where)
        if node.tag in self.tags:
            return self.tags[node.tag](node, where)
        tag = node.tag.replace(_TAG, "!!")
        raise ConfigError(f"{where}: the tag {tag} is refused: configs hold plain values only.")

    def _place(self, node: yaml.Node) -> str:
        return f"{self.source}:{node.start_mark.line + 1}"

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, where = str(key_node.value), self._place(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{where}: expected a name as key, got a {key_node.id}.")
            if key in mapping:
                first = self.origins[(*path, key)]
                raise ConfigError(f"{where}: the key {'.'.join((*path, key))!r} stands twice, first at {first}.")
            self.origins[(*path, key)] = where
            mapping[key] = self.value(value_node, (*path, key))
        return mapping


def _scalar(node: yaml.ScalarNode, where: str) -> Any:
    kind, text = node.tag.rpartition(":")[2], node.value
    try:
        if not _PATTERNS[node.tag].match(text):  # an explicit tag may say anything
            raise ValueError
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int":
            return int(text, 0 if text[:2] in ("0o", "0x") else 10)
        if kind == "float":
            number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            if math.isinf(number) and "inf" not in text.lower():
                raise ValueError
            return number
    except ValueError:
        raise ConfigError(f"{where}: {text[:80]!r} is no {kind} that can be held.") from None
    return text
