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
    assert wandb.started["name"] == "my_run"
    assert (wandb.started["resume"], wandb.started["mode"]) == ("allow", "offline")
    assert wandb.logged == [({"loss": 0.5}, 7)]
    assert wandb.finished


def test_only_a_resumed_training_goes_on_with_a_run(monkeypatch, tmp_path):
    """Folders of one name, here and elsewhere, or written anew, are runs of their own."""
    wandb = _StandIn()
    monkeypatch.setitem(sys.modules, "wandb", wandb)

    def run_id(folder: str, iteration: int) -> str:
        WandbWriter(str(tmp_path / folder / "run")).open(SimpleNamespace(iteration=iteration))
        return wandb.started["id"]

    first = run_id("here", 0)
    assert run_id("here", 5) == first
    elsewhere, anew = run_id("elsewhere", 0), run_id("here", 0)
    assert len({first, elsewhere, anew}) == 3
    assert run_id("here", 9) == anew
    assert run_id("of_a_version_before", 3) == "run"


def test_without_the_library_the_message_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)  # None makes the import fail
    with pytest.raises(MissingDependencyError, match=r"pip install 'dettoolkit\[wandb\]'"):
        WandbWriter(str(tmp_path))
