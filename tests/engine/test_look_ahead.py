"""Batches fetched ahead are the same batches, and none is counted before it is learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.engine import look_ahead, train
from dettoolkit.engine.look_ahead import LookAhead

CPU = torch.device("cpu")


class Parcel:
    """In place of a batch: notes what is done with it."""

    def __init__(self, number: int, notes: list[str]) -> None:
        self.number, self.notes = number, notes

    def to(self, device: torch.device) -> Parcel:
        self.notes.append(f"copy {self.number}")
        return Parcel(self.number, self.notes)

    def record_stream(self, stream: Any) -> None:
        self.notes.append(f"keep {self.number} for {stream}")


def _parcels(notes: list[str], count: int = 9, fails_at: int | None = None) -> Iterator[Any]:
    for number in range(count):
        if number == fails_at:
            raise FileNotFoundError(f"{number}.png")
        notes.append(f"fetch {number}")
        yield Parcel(number, notes)


def _take(batches: LookAhead) -> int:
    batch, moved = batches.take()
    assert batch is not moved
    assert batch.number == moved.number  # type: ignore[attr-defined]
    return batch.number  # type: ignore[attr-defined]


@pytest.mark.parametrize("ahead", [False, True])
def test_all_batches_come_in_order_and_no_more_are_fetched(ahead: bool) -> None:
    notes: list[str] = []
    batches = LookAhead(_parcels(notes), CPU, 3, ahead)
    for number in range(3):
        assert _take(batches) == number
        notes.append(f"compute {number}")
        batches.prepare()
        notes.append(f"end {number}")
    behind = [f"{what} {number}" for number in range(3) for what in ("fetch", "copy", "compute", "end")]
    early = ["fetch 0", "copy 0", "compute 0", "fetch 1", "copy 1", "end 0", "compute 1", "fetch 2", "copy 2", "end 1"]
    assert notes == ([*early, "compute 2", "end 2"] if ahead else behind)


def test_the_cpu_does_not_look_ahead() -> None:
    notes: list[str] = []
    batches = LookAhead(_parcels(notes), CPU, 3)
    batches.prepare()
    assert notes == []


def test_an_error_of_the_next_batch_is_raised_for_the_step_that_needs_it() -> None:
    batches = LookAhead(_parcels([], fails_at=1), CPU, 3, ahead=True)
    assert _take(batches) == 0
    batches.prepare()
    with pytest.raises(FileNotFoundError, match=r"1\.png"):
        batches.take()


def test_waiting_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.5, 20.0, 20.25])
    monkeypatch.setattr(look_ahead.time, "perf_counter", lambda: next(clock))
    batches = LookAhead(_parcels([]), CPU, 2)
    batches.take()
    assert batches.seconds_waited == 0.5
    batches.take()
    assert batches.seconds_waited == 0.75


@pytest.mark.parametrize("accumulate", [1, 2])
def test_looking_ahead_changes_no_loss_and_no_place_in_a_checkpoint(
    small_config: Callable[..., CfgNode],
    losses: Callable[[Path], list[float]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    accumulate: int,
) -> None:
    options = ["SOLVER.ACCUMULATE", accumulate, "DATASETS.TEST", "[]", "HOOKS.5.PERIOD", "2it", "HOOKS.5.KEEP", 9]
    for name in ("behind", "ahead"):
        monkeypatch.setattr("dettoolkit.engine.trainer.LookAhead", partial(LookAhead, ahead=name == "ahead"))
        train(small_config(*options, "OUTPUT_DIR", tmp_path / name))
    assert losses(tmp_path / "ahead") == losses(tmp_path / "behind")
    files = sorted((tmp_path / "ahead" / "checkpoints").glob("*.pth"))
    states = [torch.load(file, weights_only=True)["training"] for file in files]
    assert [state["loader"]["batches_taken"] for state in states] == [2, 4, 6]
    assert [state["iteration"] for state in states] == [2, 4, 6]


class Gpu:
    """What is called of torch.cuda, noted; the device has computed everything unless it is busy."""

    def __init__(self, notes: list[str], busy: bool = False, idle_milliseconds: float = 100.0) -> None:
        self.notes, self.busy, self.idle_milliseconds = notes, busy, idle_milliseconds

    def stream(self, stream: Any) -> Any:
        gpu = self

        class Context:
            def __enter__(self) -> None:
                gpu.notes.append("side stream")

            def __exit__(self, *_: object) -> None:
                gpu.notes.append("main stream")

        return Context()

    def current_stream(self, device: torch.device) -> Any:
        gpu = self

        class Main:
            def wait_stream(self, stream: Any) -> None:
                gpu.notes.append("main waits for side")

            def __str__(self) -> str:
                return "main"

        return Main()

    def event(self, enable_timing: bool) -> Any:
        gpu = self
        assert enable_timing

        class Event:
            def record(self, stream: Any) -> None:
                assert str(stream) == "main"

            def query(self) -> bool:
                return not gpu.busy

            def synchronize(self) -> None:
                assert not gpu.busy, "a stall"

            def elapsed_time(self, other: Any) -> float:
                return gpu.idle_milliseconds

        return Event()


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[Gpu], LookAhead]:
    def build(gpu: Gpu) -> LookAhead:
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: "side")
        monkeypatch.setattr(torch.cuda, "stream", gpu.stream)
        monkeypatch.setattr(torch.cuda, "current_stream", gpu.current_stream)
        monkeypatch.setattr(torch.cuda, "Event", gpu.event)
        return LookAhead(_parcels(gpu.notes), torch.device("cuda", 0), 9)

    return build


def test_a_copy_runs_on_a_stream_of_its_own_and_its_memory_is_kept(on_gpu: Callable[[Gpu], LookAhead]) -> None:
    notes: list[str] = []
    batches = on_gpu(Gpu(notes))
    assert _take(batches) == 0
    notes.clear()
    batches.prepare()
    notes.append("compute 0")
    assert _take(batches) == 1
    assert notes == ["fetch 1", "side stream", "copy 1", "main stream", "compute 0", "main waits for side", "keep 1 for main"]


@pytest.mark.parametrize(("busy", "idle_milliseconds", "expected"), [(True, 0.0, 0.0), (False, 100.0, 0.1), (False, 9e9, 2.0)])
def test_only_time_without_anything_to_compute_is_waiting(
    on_gpu: Callable[[Gpu], LookAhead], monkeypatch: pytest.MonkeyPatch, busy: bool, idle_milliseconds: float, expected: float
) -> None:
    clock = iter([10.0, 12.0])
    monkeypatch.setattr(look_ahead.time, "perf_counter", lambda: next(clock))
    batches = on_gpu(Gpu([], busy, idle_milliseconds))
    batches.prepare()
    assert batches.seconds_waited == pytest.approx(expected)
