"""The kit's choice of allocator: when the process starts again, with what, and what is said of it."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def allocator(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    module = importlib.import_module("benchmarks.speed.allocator")
    for name in module.KEEP:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    return module


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The processes that were started in place of this one, instead of starting them."""
    calls: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *arguments: calls.append(arguments))
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-m", "benchmarks.speed", "matching", "--allocator", "keep"])
    return calls


def test_keep_starts_the_same_command_again_with_the_variables(allocator: Any, started: list[Any]) -> None:
    allocator.run_with("keep")
    ((program, words, environment),) = started
    assert program == sys.executable
    assert words == [sys.executable, "-m", "benchmarks.speed", "matching", "--allocator", "keep"]
    assert environment == {**os.environ, **allocator.KEEP}


def test_a_process_that_has_the_variables_goes_on(allocator: Any, started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in allocator.KEEP.items():
        monkeypatch.setenv(name, value)
    allocator.run_with("keep")
    assert started == []
    allocator.run_with("default")  # asks for what the variables take away
    ((_, _, environment),) = started
    assert not allocator.KEEP.keys() & environment.keys()


def test_the_default_needs_no_other_process(allocator: Any, started: list[Any]) -> None:
    allocator.run_with("default")
    assert started == []


def test_other_libraries_than_glibc_are_refused(allocator: Any, started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(ValueError, match="variables that glibc reads, this is Darwin; preload"):
        allocator.run_with("keep")
    assert started == []


def test_the_kit_asks_before_it_measures(allocator: Any, started: list[Any]) -> None:
    kit = importlib.import_module("benchmarks.speed.__main__")
    with pytest.raises(SystemExit):
        kit.main(["matching", "--allocator", "hoard"])
    assert started == []
    kit.main(["host_syncs", "--allocator", "keep", "--rounds", "1"])
    assert len(started) == 1


@pytest.mark.parametrize(
    ("faults", "said"),
    [(16384, "gives freed memory back (16384 page faults"), (0, "keeps freed memory (0 page faults"), (None, "")],
)
def test_the_description_is_what_was_tried(
    allocator: Any, monkeypatch: pytest.MonkeyPatch, faults: int | None, said: str
) -> None:
    monkeypatch.setattr(allocator, "page_faults_of_memory_taken_again", lambda: faults)
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    assert allocator.description().startswith("allocator default")
    assert said in allocator.description()
    monkeypatch.setenv("MALLOC_TOP_PAD_", "5")
    assert allocator.description().startswith("allocator MALLOC_TOP_PAD_=5")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the variables are glibc's")
@pytest.mark.parametrize("keeps", [False, True])
def test_glibc_does_as_the_variables_say(allocator: Any, keeps: bool) -> None:
    code = "from benchmarks.speed import allocator; print(allocator.page_faults_of_memory_taken_again())"
    environment = {**os.environ, **(allocator.KEEP if keeps else {}), "OMP_NUM_THREADS": "1"}
    environment.pop("LD_PRELOAD", None)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    faults = int(done.stdout)
    assert (faults < 32) == keeps  # 64 MiB are 32 pages of 2 MiB, or more smaller ones
