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
    value, path = _look_up(resolved.cfg, key), tuple(key.split("."))
    place, around = resolved.layer.origins.get(path), resolved.layer.origin(path)
    rows = [("set by", place or f"the default{f' (what was set near it: {around})' if around else ''}")]
    note = resolved.notes.get(key)
    if note is not None:
        rows += [("accepted", note.accepted), ("home", note.home), ("meaning", note.words())]
    return dump({key: plain(value)}) + "\n".join(f"  {name + ':':<9} {words}" for name, words in rows if words)


def _look_up(cfg: Any, key: str) -> Any:
    value, at = cfg, "the config"
    for part in key.split("."):
        inner: Mapping[str, Any]
        if isinstance(value, list):
            inner = {str(index): item for index, item in enumerate(value)}
        else:
            inner = value if isinstance(value, Mapping) else {}
        if isinstance(value, list) and value and not part.isdigit():
            raise ConfigError(f"{at} is a list of {len(value)}: name an item of it by its number, as in {at}.0.{part}.")
        if part not in inner:
            raise ConfigError(f"{at} has no {part!r}.{did_you_mean(part, inner)} It has: {listed(inner)}.")
        value, at = inner[part], part if at == "the config" else f"{at}.{part}"
    return value
