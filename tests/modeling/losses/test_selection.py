"""Which implementation computes a loss."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from dettoolkit.modeling.losses import sigmoid_focal_loss
from dettoolkit.modeling.losses.kernels import ENVIRONMENT_VARIABLE, eager, implementation_for, selection, traced


class OnCuda:
    """Stands for a tensor on a device that this machine may lack."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.device, self.dtype = torch.device("cuda:0"), dtype


@pytest.fixture(autouse=True)
def _no_choice(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    selection._why_not_triton.cache_clear()
    yield
    selection._why_not_triton.cache_clear()


@pytest.fixture
def ampere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_missing_triton", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))


def logits(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(3, 2, dtype=dtype)


def test_the_cpu_computes_eagerly() -> None:
    assert implementation_for(logits()) == "eager"


@pytest.mark.usefixtures("ampere")
def test_cuda_computes_with_triton_but_for_float64() -> None:
    found = {dtype: implementation_for(OnCuda(dtype)) for dtype in (torch.float32, torch.bfloat16, torch.float16)}  # type: ignore[arg-type]
    assert set(found.values()) == {"triton"}
    assert implementation_for(OnCuda(torch.float64)) == "eager"  # type: ignore[arg-type]


def test_without_triton_cuda_computes_eagerly_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "triton", None)  # an import of it fails
    with caplog.at_level(logging.INFO, logger="dettoolkit"):
        assert [implementation_for(OnCuda()) for _ in range(3)] == ["eager"] * 3  # type: ignore[arg-type]
    (message,) = caplog.messages
    assert "on cuda:0 are computed by eager PyTorch, which is slower: Triton cannot be imported" in message


@pytest.mark.parametrize(("capability", "dtype", "needed"), [((6, 1), torch.float32, "7.0"), ((7, 5), torch.bfloat16, "8.0")])
def test_old_devices_compute_eagerly_and_say_so(
    capability: tuple[int, int],
    dtype: torch.dtype,
    needed: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(selection, "_missing_triton", lambda: None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.version, "hip", None)
    with caplog.at_level(logging.INFO, logger="dettoolkit"):
        assert implementation_for(OnCuda(dtype)) == "eager"  # type: ignore[arg-type]
    assert f"needs compute capability {needed} for {dtype}, this device has {capability[0]}.{capability[1]}" in caplog.text


@pytest.mark.parametrize("name", ["eager", "traced", "triton"])
def test_the_environment_can_force_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, name)
    assert implementation_for(logits()) == name


def test_what_cannot_be_forced_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "tritn")
    with pytest.raises(ValueError, match=r"expects one of eager, traced, triton, got 'tritn'\. Did you mean 'triton'\?"):
        implementation_for(logits())
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "triton")
    with pytest.raises(ValueError, match=r"=triton computes torch\.float32, .*, got logits of torch\.float64"):
        implementation_for(logits(torch.float64))


def test_the_rule_is_what_the_loss_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    for module in (eager, traced):
        compute = module.losses_and_gradient
        name = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(module, "losses_and_gradient", lambda work, n=name, f=compute: (called.append(n), f(work))[1])
    for name in ("eager", "traced"):
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, name)
        sigmoid_focal_loss(logits(), torch.tensor([0, 1, -1]))
    assert called == ["eager", "traced"]
