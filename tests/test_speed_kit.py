"""The kit that times contestants: what it counts, and that rows with wrong results are refused."""

from __future__ import annotations

import importlib
import mmap
import re
import time
from pathlib import Path
from typing import Any

import pytest
import torch

CPU = torch.device("cpu")


@pytest.fixture
def timing(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    return importlib.import_module("benchmarks.speed.timing")


def test_contestants_are_called_in_turn_after_a_round_of_warming_up(timing: Any) -> None:
    calls: list[str] = []
    row = timing.Row("two", {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")})
    timings = timing.measure(row, 2, CPU)
    assert calls == ["a", "b"] * 3 + ["a", "b"]  # warm-up, two rounds, and one more for the memory
    assert [len(each.seconds) for each in timings.values()] == [2, 2]


def test_the_slower_has_the_larger_median(timing: Any) -> None:
    row = timing.Row("two", {"quick": lambda: None, "slow": lambda: time.sleep(0.02)})
    timings = timing.measure(row, 3, CPU)
    assert timings["slow"].median >= 0.02 > timings["quick"].median


@pytest.mark.parametrize("found", [0.2, float("nan")])
def test_a_row_whose_results_differ_is_an_error(timing: Any, found: float) -> None:
    row = timing.Row("two", {"a": lambda: None}, lambda: found, 0.1)
    with pytest.raises(ValueError, match=r"two: the results differ by"):
        timing.measure(row, 1, CPU)


def test_memory_held_during_a_call_is_counted(timing: Any) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system does not say how much memory a process held at most")

    def hold() -> None:  # pages of their own, whatever the allocator keeps of what tests before this one freed
        with mmap.mmap(-1, 64 << 20) as pages:
            pages.write(b"x" * (64 << 20))

    row = timing.Row("one", {"a": hold})
    assert 60 <= timing.measure(row, 1, CPU)["a"].extra_mib <= 140  # the bytes that are written count too


@pytest.mark.parametrize(
    ("module", "row", "sizes"),
    [
        ("data_rows", "loading", {"IMAGES": 1}),
        ("data_rows", "loading_workers", {"IMAGES_OF_WORKERS": 6, "BATCH": 2}),
        ("evaluation_rows", "coco_evaluation", {"IMAGES": 30, "IMAGES_OF_PYCOCOTOOLS": 20}),
        ("evaluation_rows", "gathering", {"IMAGES": 30}),
    ],
)
def test_the_contestants_of_a_row_agree(
    timing: Any, monkeypatch: pytest.MonkeyPatch, module: str, row: str, sizes: Any
) -> None:
    rows = importlib.import_module(f"benchmarks.speed.{module}")
    for name, size in sizes.items():
        monkeypatch.setattr(rows, name, size)
    for each in getattr(rows, row)(CPU):
        assert len(each.contestants) >= 2
        assert each.difference() <= each.tolerance


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["post_procesing"], r"no row post_procesing; Did you mean 'post_processing'\?"),
        (["matching", "--rounds", "0"], "--rounds: expected 1 or more, got 0"),
        (["matching", "--device", "gpu"], "--device: expected cpu, cuda or cuda:N, got 'gpu'"),
        (["matching", "--device", "cuda:99"], r"--device cuda:99: torch .* finds \d+ CUDA devices"),
        (["matching", "--json", "/no/such/folder/a.json"], "there is no folder /no/such/folder"),
    ],
)
def test_options_that_cannot_work_are_refused_before_anything_is_measured(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    speed = importlib.import_module("benchmarks.speed.__main__")
    with pytest.raises(SystemExit):
        speed.main(options)
    assert re.search(message, capsys.readouterr().err)
