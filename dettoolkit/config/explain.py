"""``dettoolkit config FILE --explain KEY``: where a value came from and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dettoolkit.config.resolve import Resolved
from dettoolkit.config.yaml_reader import dump, plain
from dettoolkit.errors import ConfigError, did_you_mean, listed


def explain(resolved: Resolved, key: str) -> str:
    """Return a few lines about one key of a config: its value, where it came from, what is accepted and what it means.

    Raises:
        ConfigError: the config has no such key; the nearest one is named.
    """
    value = _look_up(resolved.cfg, key)
    note = resolved.notes.get(key)
    place = resolved.layer.origins.get(tuple(key.split(".")))
    nested = isinstance(value, (Mapping, list)) and bool(value)
    shown = "\n" + "".join(f"    {line}\n" for line in dump(plain(value)).splitlines()) if nested else f" {value!r}\n"
    lines = [f"{key} ={shown}"]
    if place is None:
        parent = resolved.layer.origin(tuple(key.split(".")[:-1]))
        place = f"the default{f' (the node around it: {parent})' if parent else ''}"
    lines.append(f"  set by:   {place}\n")
    if note is not None:
        words = note.words()
        lines.append(f"  accepted: {note.accepted}\n")
        lines.append(f"  home:     {note.home}\n" if note.home else "")
        lines.append(f"  meaning:  {words}\n" if words else "")
    return "".join(lines).rstrip()


def _look_up(cfg: Any, key: str) -> Any:
    value = cfg
    for depth, part in enumerate(key.split(".")):
        keys = (
            list(value)
            if isinstance(value, Mapping)
            else [str(i) for i in range(len(value))]
            if isinstance(value, list)
            else []
        )
        if part not in keys:
            at = ".".join(key.split(".")[:depth]) or "the config"
            raise ConfigError(f"{at} has no {part!r}.{did_you_mean(part, keys)} It has: {listed(keys)}.")
        value = value[part] if isinstance(value, Mapping) else value[int(part)]
    return value
