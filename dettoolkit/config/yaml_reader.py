"""YAML with the place of every value: the core schema of YAML 1.2, safe tags only, duplicate keys refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from dettoolkit.errors import ConfigError

Path_: TypeAlias = tuple[str, ...]

# YAML 1.2 core schema, section 10.3.2: `off` and `no` are strings there, 1e-4 is a number
_SCALARS = (
    ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("tag:yaml.org,2002:int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        re.compile(r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
        list("-+0123456789."),
    ),
)
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map")}
_MAX_VALUES = 100_000  # aliases can make a short file describe billions of values
_MAX_DEPTH = 50


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own attribute)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:  # a list that two components share is written twice
        return True


for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
    _Dumper.add_implicit_resolver(_tag, _pattern, _first)


@dataclass
class Layer:
    """A nested config and where each of its values came from.

    Args:
        data: mappings, lists and scalars.
        origins: path -> ``file:line`` or another word for the place.
    """

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path_, str] = field(default_factory=dict)

    def origin(self, path: Path_) -> str:
        """Return where the value at ``path`` came from; of its nearest parent when it has no origin of its own."""
        while path and path not in self.origins:
            path = path[:-1]
        return self.origins.get(path, "")


def read_yaml_file(path: Path) -> Layer:
    """Read a config file.

    Raises:
        ConfigError: the file is not UTF-8, not YAML, or no mapping; the line is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected a YAML file in UTF-8, but byte {error.start} is not UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    data, origins = parse(text, str(path))
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping of config keys, got {type(data).__name__}.")
    return Layer(data, origins)


def parse(text: str, source: str) -> tuple[Any, dict[Path_, str]]:
    """Return the value that ``text`` describes and the place of each part of it.

    Raises:
        ConfigError: the text is not YAML, has a tag that is not plain, or a key twice.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{source}{line}: not valid YAML: {error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {error}.") from None
    except RecursionError:
        raise ConfigError(f"{source}: nested deeper than {_MAX_DEPTH} levels.") from None
    reader = _Reader(source)
    return (None if node is None else reader.value(node, ())), reader.origins


def dump(data: Any) -> str:
    """Return plain data as YAML that :func:`parse` reads back to the same data."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def plain(value: Any) -> Any:
    """Return a copy made of dict, list and scalars only."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class _Reader:
    """Turns YAML nodes into values and notes the line of each."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.origins: dict[Path_, str] = {}
        self._count = 0

    def value(self, node: yaml.Node, path: Path_) -> Any:
        where = f"{self.source}:{node.start_mark.line + 1}"
        self._count += 1
        if self._count > _MAX_VALUES or len(path) > _MAX_DEPTH:
            raise ConfigError(f"{where}: more than {_MAX_VALUES} values or {_MAX_DEPTH} levels (aliases that multiply?).")
        if node.tag not in _PLAIN_TAGS:
            raise ConfigError(f"{where}: tag {node.tag!r} is refused: configs hold plain values only.")
        self.origins[path] = where
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, str(index))) for index, item in enumerate(node.value)]
        return self._scalar(node, where)

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, where = str(key_node.value), f"{self.source}:{key_node.start_mark.line + 1}"
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{where}: expected a name as key, got a {key_node.id}.")
            if key in mapping:
                first = self.origins[(*path, key)]
                raise ConfigError(f"{where}: the key {'.'.join((*path, key))!r} stands twice, first at {first}.")
            mapping[key] = self.value(value_node, (*path, key))
            self.origins[(*path, key)] = where
        return mapping

    @staticmethod
    def _scalar(node: yaml.ScalarNode, where: str) -> Any:
        kind, text = node.tag.rpartition(":")[2], node.value
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return text.lower() == "true"
            if kind == "int":
                return int(text, 0 if text[:2] in ("0o", "0x") else 10)
            if kind == "float":
                return float(
                    text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").lower().replace(".nan", "nan")
                )
        except ValueError:
            raise ConfigError(f"{where}: {text!r} is no {kind}.") from None
        return text
