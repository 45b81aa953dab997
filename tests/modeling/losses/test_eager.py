"""Eager PyTorch on accelerators: nothing waits for the device. And what is held in memory, and read without a copy."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from dettoolkit.modeling.losses import FocalLoss, QualityFocalLoss, VarifocalLoss, sigmoid_focal_loss
from dettoolkit.modeling.losses.kernels import eager

# what hands a number to the host, or makes a tensor of a size that only the device knows
WAITING = {"nonzero", "_local_scalar_dense", "item", "masked_select", "is_nonzero", "equal", "unique", "_unique2", "bincount"}


class Recorder(TorchDispatchMode):
    """Notes which operators run, and how many elements what they return has."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int, bool]] = []  # name, elements, whether it is a view or a tensor that came in

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            storages = {each.untyped_storage()._cdata for each in args if isinstance(each, Tensor)}
            kept = result.untyped_storage()._cdata in storages
            self.seen.append((func.overloadpacket.__name__, result.numel(), kept))
        return result

    @property
    def names(self) -> set[str]:
        return {name for name, _, _ in self.seen}

    def made(self, elements: int) -> list[str]:
        """Return the operators that made new tensors of so many elements."""
        return [name for name, size, kept in self.seen if size == elements and not kept]


@pytest.mark.parametrize("loss", [FocalLoss(), QualityFocalLoss(), VarifocalLoss()], ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_nothing_waits_for_an_accelerator(loss: Any, dtype: torch.dtype) -> None:
    # tensors without memory: they cannot be asked for numbers, and take the way of all that is not a CPU
    logits = torch.zeros(2, 30, 4, dtype=dtype, device="meta", requires_grad=True)
    labels = torch.zeros(2, 30, dtype=torch.int64, device="meta")
    weights = torch.ones(2, 30, device="meta")
    with Recorder() as recorder:
        loss(logits, labels, weights, weights).backward()
    assert "index_put_" in recorder.names
    assert not recorder.names & WAITING
    assert logits.grad is not None
    assert logits.grad.dtype == dtype


def test_the_recorder_sees_what_waits() -> None:
    with Recorder() as recorder:
        sigmoid_focal_loss(torch.zeros(3, 2), torch.tensor([0, -2, -1]))
    assert "nonzero" in recorder.names  # the CPU has nothing to wait for


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_one_tensor_of_the_logits_size_is_made_and_kept(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "_CHUNK", 64)
    logits = torch.randn(2, 60, 4, requires_grad=True)
    labels = torch.randint(-2, 4, (2, 60))
    with Recorder() as recorder:
        loss = sigmoid_focal_loss(logits, labels) * scale
        (gradient,) = torch.autograd.grad(loss, logits)
    assert recorder.made(logits.numel()) == ["empty_like"]
    assert gradient.shape == logits.shape


@pytest.mark.parametrize("kind", ["a channels-last convolution", "a level out of all"])
def test_logits_are_read_where_they_are(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "_CHUNK", 64)
    if kind == "a level out of all":
        logits = torch.randn(2, 180, 4)[:, 60:120]
    else:
        maps = torch.nn.functional.conv2d(
            torch.randn(2, 3, 5, 4).to(memory_format=torch.channels_last),
            torch.randn(12, 3, 1, 1).to(memory_format=torch.channels_last),
        )
        logits = maps.permute(0, 2, 3, 1).reshape(2, 60, 4)
    labels = torch.randint(-2, 4, (2, 60))
    with Recorder() as recorder:
        sigmoid_focal_loss(logits.requires_grad_(), labels)
    assert recorder.made(logits.numel()) == ["empty_like"]  # the gradient, and no copy


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_every_backward_pass_through_one_graph_is_right(dtype: torch.dtype, scale: float) -> None:
    logits = torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    labels = torch.randint(-2, 5, (2, 40), generator=torch.Generator().manual_seed(0))
    loss = sigmoid_focal_loss(logits, labels)
    passes = [torch.autograd.grad(loss * scale, logits, retain_graph=True)[0] for _ in range(2)]
    passes.append(torch.autograd.grad(loss * scale, logits)[0])
    assert torch.equal(passes[0], passes[1])
    assert torch.equal(passes[0], passes[2])
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, logits)


def test_a_factor_for_each_anchor_is_applied_in_place_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "_CHUNK", 20)
    logits = torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.randint(-2, 5, (2, 40), generator=torch.Generator().manual_seed(0))
    factors = torch.linspace(0, 2, 80).reshape(2, 40)
    (expected,) = torch.autograd.grad(sigmoid_focal_loss(logits, labels), logits)
    (found,) = torch.autograd.grad((sigmoid_focal_loss(logits, labels, by_anchor=True) * factors).sum(), logits)
    torch.testing.assert_close(found, expected * factors[..., None])


def test_small_weights_of_float16_logits_keep_their_gradient() -> None:
    # one of ten thousand anchors, p = 0.01: 0.75 p^2 (p + 2 (1 - p) * 0.01005) / 1e4 = 2.2e-10, times 65536
    logits = torch.full((1, 1), -4.595, dtype=torch.float16, requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([-1]), weights=torch.tensor([1e-4]))
    (slope,) = torch.autograd.grad(loss * 65536, logits)
    p = 1 / (1 + math.exp(-logits.item()))
    expected = 0.75 * p**2 * (p - 2 * (1 - p) * math.log1p(-p)) * 1e-4 * 65536
    assert slope.item() == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_ignored_anchors_may_hold_anything(value: float) -> None:
    logits = torch.tensor([[value, value], [0.5, -0.5]], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([-2, 1]), weights=torch.tensor([2.0, 1.0]))
    assert loss.item() == sigmoid_focal_loss(logits[1:], torch.tensor([1])).item()
    assert torch.autograd.grad(loss, logits)[0][0].tolist() == [0.0, 0.0]
