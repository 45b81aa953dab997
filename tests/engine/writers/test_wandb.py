"""The W&B writer, against a stand-in for the library."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from dettoolkit.engine.writers import WandbWriter
from dettoolkit.errors import MissingDependencyError


class _StandIn:
    def __init__(self) -> None:
        self.started: dict[str, Any] = {}
        self.logged: list[tuple[dict[str, float], int]] = []
        self.finished = False

    def init(self, **settings: Any) -> _StandIn:
        self.started = settings
        return self

    def log(self, numbers: dict[str, float], step: int) -> None:
        self.logged.append((numbers, step))

    def finish(self) -> None:
        self.finished = True


def test_numbers_go_to_a_run_named_after_the_folder(monkeypatch, tmp_path):
    wandb = _StandIn()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    writer = WandbWriter(str(tmp_path / "my_run"), mode="offline")
    writer.open(SimpleNamespace(iteration=0))
    writer.write(SimpleNamespace(iteration=7), {"loss": 0.5})
    writer.close()
    assert wandb.started["name"] == wandb.started["id"] == "my_run"
    assert (wandb.started["resume"], wandb.started["mode"]) == ("allow", "offline")
    assert wandb.logged == [({"loss": 0.5}, 7)]
    assert wandb.finished


def test_without_the_library_the_message_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)  # None makes the import fail
    with pytest.raises(MissingDependencyError, match=r"pip install 'dettoolkit\[wandb\]'"):
        WandbWriter(str(tmp_path))
