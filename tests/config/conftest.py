"""Config files in a folder of their own, and the report that a wrong one gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dettoolkit.config import load_config
from dettoolkit.errors import ConfigError
from dettoolkit.registry import LOSSES, META_ARCHS


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes a YAML file beside the others and returns its name; that folder is the current one."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "config.yaml") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    return write


@pytest.fixture
def load(write: Callable[..., str]) -> Callable[..., Any]:
    """Loads a config from its text and overrides in one string."""
    return lambda text="", overrides="": load_config(write(text), overrides.split())


@pytest.fixture
def rows(write: Callable[..., str]) -> Callable[..., list[str]]:
    """Returns the rows of the report on a wrong config, without the indentation."""

    def rows(text: str = "", overrides: str = "") -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_config(write(text), overrides.split())
        head, *found = str(caught.value).splitlines()
        mistakes = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
        assert head == f"config.yaml: {mistakes} in the config:"
        return [row.removeprefix("  ") for row in found]

    return rows


@pytest.fixture
def own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    for registry in (LOSSES, META_ARCHS):
        list(registry)  # its package is imported
        monkeypatch.setattr(registry, "_obj_map", dict(registry._obj_map))
