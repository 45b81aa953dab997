"""Detectron2's YAML files and ``KEY VALUE`` overrides: what they say, key by key, with the place of each value."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dettoolkit.config.detectron2.arithmetic import evaluate
from dettoolkit.config.files import read_layer
from dettoolkit.config.layer import Layer
from dettoolkit.config.yaml_reader import KeyPath, plain
from dettoolkit.errors import ConfigError, did_you_mean, shown

_EVAL = "tag:yaml.org,2002:python/object/apply:eval"


@dataclass(frozen=True)
class Given:
    """What a file or an override says of one key.

    Args:
        value: plain data; tuples are lists.
        place: ``file:line``, or which override.
    """

    value: Any
    place: str


def read_files(path: str | Path) -> tuple[dict[str, Given], list[Path]]:
    """Return what a config and its ``_BASE_`` files say by dotted key, and the files, the config first.

    Expressions under ``!!python/object/apply:eval`` are worked out by :func:`evaluate`; other tags of Python are refused.

    Raises:
        ConfigError: a file is missing, cannot be read, is no YAML or its own base.
    """
    return _read_files(Path(path), ())


def read_overrides(overrides: Sequence[str]) -> dict[str, Given]:
    """Return what ``[KEY, VALUE, KEY, VALUE, ...]`` say, values read as Detectron2 reads them.

    Raises:
        ConfigError: a key has no value.
    """
    if len(overrides) % 2:
        raise ConfigError(f"overrides come as KEY VALUE pairs; {overrides[-1]!r} has no value.")
    pairs = zip(overrides[::2], overrides[1::2], strict=True)
    return {key: Given(_decoded(text.strip()), f"override {key}") for key, text in pairs}


def _read_files(path: Path, children: tuple[Path, ...]) -> tuple[dict[str, Given], list[Path]]:
    files = (*children, path)
    if path.suffix == ".py":
        raise ConfigError(
            f"{path}: Detectron2's lazy configs are Python programs, and others' programs are not run. Expected a YAML config."
        )
    if path.resolve() in [child.resolve() for child in children]:
        raise ConfigError(f"{path}: _BASE_ goes in a circle: " + " -> ".join(str(file) for file in files))
    if not path.is_file():
        beside = [file.as_posix() for file in sorted(path.parent.glob("*.yaml"))]
        raise ConfigError(f"there is no file {str(path)!r}.{did_you_mean(path.as_posix(), beside)}")
    layer = read_layer(path, {_EVAL: _evaluated})
    where, given = layer.origin(("_BASE_",)), layer.data.pop("_BASE_", [])
    settings: dict[str, Given] = {}
    sources = [path]
    for base in given if isinstance(given, list) else [given]:
        of_base, further = _read_files(_base(base, path.parent, where), files)
        settings |= of_base
        sources += further
    return settings | dict(_settings(layer, layer.data, ())), sources


def _base(base: Any, folder: Path, where: str) -> Path:
    if not isinstance(base, str):
        raise ConfigError(f"{where}: _BASE_: expected a path, got {shown(base)}.")
    if "://" in base:
        raise ConfigError(f"{where}: _BASE_ names {base!r}. Expected a file on this machine: download it, and write its path.")
    path = Path(os.path.normpath(folder / Path(base).expanduser()))
    if path.suffix != ".py" and not path.is_file():
        near = [os.path.relpath(file, folder) for file in sorted(path.parent.glob("*.yaml"))]
        raise ConfigError(f"{where}: _BASE_ names {base!r}, but there is no file {path}.{did_you_mean(base, near)}")
    return path


def _settings(layer: Layer, data: Mapping[str, Any], path: KeyPath) -> Iterator[tuple[str, Given]]:
    for key, value in data.items():
        inner = (*path, key)
        if isinstance(value, Mapping):
            yield from _settings(layer, value, inner)
        else:
            decoded = _decoded(value) if isinstance(value, str) else value
            yield ".".join(inner), Given(decoded, layer.origin(inner))


def _decoded(text: str) -> Any:
    """Return what a string stands for: ``(640, 800)`` is no list in YAML, but Detectron2 reads strings as Python's literals."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's opinion on how the text is written
            return plain(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _evaluated(node: yaml.Node, where: str) -> Any:
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    if len(items) != 1 or not isinstance(items[0], yaml.ScalarNode):
        raise ConfigError(f"{where}: !!python/object/apply:eval: expected one expression in brackets.")
    try:
        return evaluate(items[0].value)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
