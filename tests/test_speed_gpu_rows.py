"""The rows for GPUs: what they count, that they run, and what they say where there is no GPU."""

from __future__ import annotations

import importlib
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

CPU = torch.device("cpu")
ROWS = ("gpu_training", "gpu_inference", "host_syncs")


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))


def of(name: str) -> Any:
    return importlib.import_module(f"benchmarks.speed.{name}")


def test_events_that_wait_are_counted_by_name() -> None:
    names = [
        "cudaStreamSynchronize",
        "cudaStreamSynchronize",
        "cudaMemcpyAsync",  # returns at once by itself
        "cudaLaunchKernel",
        "aten::item",  # waits by the calls below it, which count
        "cudaDeviceSynchronize",
        "Memcpy DtoH (Device -> Pinned)",
        "Memcpy DtoH (Device -> Pageable)",
        "Memcpy HtoD (Pinned -> Device)",
        "Memcpy HtoD (Pageable -> Device)",
        "Memcpy DtoD (Device -> Device)",
        "cudaMalloc",
    ]
    assert of("host_syncs").counted(names) == {
        "cudaStreamSynchronize": 2,
        "cudaDeviceSynchronize": 1,
        "copies to the host": 2,
        "copies of pageable memory to the device": 1,
        "cudaMalloc": 1,
    }


def test_what_a_training_costs_once_is_not_counted_for_its_steps() -> None:
    # once: 3 device synchronisations, 1 stream synchronisation; each of 5 or 10 steps: 2 of the stream
    short, long = Counter(device=3, stream=1 + 10), Counter(device=3, stream=1 + 20)
    assert of("host_syncs").per_step(short, long, 5) == {"stream": 2.0}


def test_syncs_are_those_of_the_further_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    script, asked = of("host_syncs"), []
    profiled = lambda train, steps: Counter({"cudaStreamSynchronize": 4 + 3 * train(steps), "cudaMalloc": 7})  # noqa: E731
    monkeypatch.setattr(script, "_profiled", profiled)
    monkeypatch.setattr(script, "_places", lambda train, steps: Counter({"a.py:1": train(steps)}))
    syncs = script.count_syncs(lambda steps: asked.append(steps) or steps, 5)
    assert asked == [10, 5, 10, 5, 10]  # a training for warming up, then two for each count
    assert syncs.profiled == {"cudaStreamSynchronize": 3.0}
    assert syncs.places == {"a.py:1": 1.0}
    lines = [line.split() for line in syncs.table().splitlines()]
    assert ["waiting", "for", "the", "device,", "in", "all", "3.00"] in lines
    assert ["a.py:1", "1.00"] in lines


def test_places_are_where_code_was_warned_of() -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for _ in range(2):
            warnings.warn_explicit("called a synchronizing CUDA operation (Triggered internally)", UserWarning, "a.py", 3)
        warnings.warn_explicit("something else", UserWarning, "a.py", 4)
    assert of("host_syncs").places(found) == {"a.py:3": 2}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Any:
    rows = of("gpu_model_rows")
    for name, value in {"SIZE": (64, 96), "BATCH": 2, "BOXES": 2, "COMPILED": (False,)}.items():
        monkeypatch.setattr(rows, name, value)
    return rows


def test_the_trainer_runs_as_many_steps_as_are_counted(small: Any) -> None:
    model = small._ours(CPU).train()
    before = next(model.head.parameters()).clone()
    trainer = of("host_syncs").train_for(model, small._batches(1), 2, CPU)
    assert trainer.iteration == 2
    assert trainer.step_was_finite
    assert not torch.equal(before, next(model.head.parameters()))


def test_boxes_are_inside_the_image(small: Any) -> None:
    (batch,) = small._batches(1)
    assert batch.images.shape == (2, 3, 64, 96)
    for target in batch.targets:
        sides = target.boxes[:, 2:] - target.boxes[:, :2]
        assert (target.boxes >= 0).all()
        assert (target.boxes[:, 2:] <= torch.tensor([96, 64])).all()
        assert (sides >= torch.tensor([9.6, 6.4]) - 1e-4).all()


def test_the_training_row_runs_anywhere(small: Any) -> None:
    row = small.training_row(CPU)
    assert row.images == 2
    assert list(row.contestants) == ["dettoolkit, bf16", "torchvision, fp32", "torchvision, bf16"]
    for call in row.contestants.values():
        call()


def test_the_inference_row_runs_anywhere(small: Any) -> None:
    row = small.inference_row(CPU, 2)
    assert row.images == 2
    assert list(row.contestants) == ["dettoolkit, bf16", "torchvision, fp32", "torchvision, bf16"]
    assert [len(call()) for call in row.contestants.values()] == [2, 2, 2]  # a result an image


@pytest.mark.parametrize("row", ROWS)
def test_without_a_gpu_a_row_says_so_and_the_kit_goes_on(
    row: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    of("__main__").main([row, "--rounds", "1"])
    assert f"\n{row}: this row needs a CUDA device, this machine has none\n" in capsys.readouterr().out


def test_with_a_gpu_a_row_asks_for_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert list(of("gpu_model_rows").gpu_training(CPU)) == []
    assert capsys.readouterr().out == "\ngpu_training: this row needs --device cuda, got cpu\n"


def test_images_a_second_stand_behind_the_ratio() -> None:
    kit, Timing = of("__main__"), of("timing").Timing
    lines = kit.cells({"a": Timing([0.5]), "b": Timing([2.0])}, 16)
    assert [line[-2:] for line in lines] == [["0.250", "32.0"], ["1.000", "8.0"]]  # 16 images in 0.5 s and in 2 s
    assert len(kit.cells({"a": Timing([0.5])})[0]) == len(kit.HEADERS)
