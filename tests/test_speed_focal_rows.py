"""The benchmark's rows of focal loss, small: the contestants agree, and what cannot run here says so."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

CPU = torch.device("cpu")


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``dense_rows`` with a thousand anchors, and the eager contestant twice instead of waiting for a compiler."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    module = importlib.import_module("benchmarks.speed.dense_rows")
    monkeypatch.setattr(module, "anchors", lambda device: [torch.zeros(1000, 4)])
    monkeypatch.setattr(module, "compiled_focal_loss", lambda device: {"dettoolkit, compiled": module.sigmoid_focal_loss})
    return module


def test_the_contestants_agree_and_each_row_ends_with_its_reference(rows: Any) -> None:
    beside, over = rows.focal_loss(CPU)
    assert list(beside.contestants) == ["dettoolkit", "dettoolkit, compiled", "torchvision"]
    assert list(over.contestants) == ["dettoolkit", "dettoolkit, compiled", "floor: read once, write once"]
    assert 0 < beside.difference() <= beside.tolerance


def test_the_floor_writes_a_tensor_of_the_gradient_s_size(rows: Any) -> None:
    *_, over = rows.focal_loss(CPU)
    written, gradient = over.contestants["floor: read once, write once"](), over.contestants["dettoolkit"]()
    assert (written.shape, written.dtype) == (gradient.shape, gradient.dtype)


def test_without_a_compiler_the_compiled_contestant_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    module = importlib.import_module("benchmarks.speed.dense_rows")
    monkeypatch.setenv("CXX", "no_such_compiler")
    assert module.compiled_focal_loss(CPU) == {}
    assert "left out: dettoolkit, compiled (torch.compile needs a C++ compiler on the CPU)" in capsys.readouterr().out


@pytest.mark.usefixtures("rows")
def test_the_kernel_s_row_says_that_it_needs_a_cuda_device(capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module("benchmarks.speed.gpu_rows")
    assert list(module.focal_loss_kernel(CPU)) == []
    assert "left out: focal_loss_kernel measures the Triton kernel on a CUDA device, got cpu" in capsys.readouterr().out


@pytest.mark.usefixtures("rows")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_cuda_device_that_is_not_there_is_named() -> None:
    module = importlib.import_module("benchmarks.speed.gpu_rows")
    with pytest.raises(SystemExit, match=r"focal_loss_kernel: torch .* finds no CUDA device on this machine"):
        list(module.focal_loss_kernel(torch.device("cuda")))
