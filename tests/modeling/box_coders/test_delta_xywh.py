"""Deltas worked by hand, and those of torchvision."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models.detection._utils import BoxCoder

from dettoolkit.modeling.box_coders import DeltaXYWHCoder

WEIGHTS = [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0), (2.0, 3.0, 4.0, 5.0)]
ANCHOR = torch.tensor([[0.0, 0.0, 10.0, 20.0]])  # centre (5, 10)


def boxes(count: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    corner, side = torch.rand(2, count, 2, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 100
    return torch.cat([corner, corner + side + 1], dim=1)


def test_an_anchor_is_coded_as_zeros() -> None:
    assert DeltaXYWHCoder().encode(ANCHOR, ANCHOR).tolist() == [[0.0, 0.0, 0.0, 0.0]]
    assert DeltaXYWHCoder().decode(torch.zeros(1, 4), ANCHOR).tolist() == ANCHOR.tolist()


def test_shifts_are_in_anchor_sides_and_scales_are_logarithms() -> None:
    # centre (10, 5) is half a width right and a quarter of the height up; twice as wide, half as high
    box, deltas = torch.tensor([[0.0, 0.0, 20.0, 10.0]]), torch.tensor([[0.5, -0.25, math.log(2), -math.log(2)]])
    torch.testing.assert_close(DeltaXYWHCoder().encode(box, ANCHOR), deltas)
    torch.testing.assert_close(DeltaXYWHCoder().decode(deltas, ANCHOR), box)


def test_weights_multiply_the_deltas() -> None:
    box = torch.tensor([[0.0, 0.0, 20.0, 10.0]])
    expected = torch.tensor([[5.0, -2.5, 5 * math.log(2), -5 * math.log(2)]])
    torch.testing.assert_close(DeltaXYWHCoder((10.0, 10.0, 5.0, 5.0)).encode(box, ANCHOR), expected)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_decoding_undoes_encoding(weights: tuple[float, float, float, float]) -> None:
    coder, wanted, anchors = DeltaXYWHCoder(weights), boxes(50, 0, torch.float64), boxes(50, 1, torch.float64)
    torch.testing.assert_close(coder.decode(coder.encode(wanted, anchors), anchors), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_codes_are_torchvisions(weights: tuple[float, float, float, float]) -> None:
    ours, theirs = DeltaXYWHCoder(weights), BoxCoder(weights)
    wanted, anchors = boxes(60, 0), boxes(60, 1)
    torch.testing.assert_close(ours.encode(wanted, anchors), theirs.encode_single(wanted, anchors), rtol=1e-4, atol=1e-5)
    deltas = torch.randn(60, 4, generator=torch.Generator().manual_seed(2)) * 4  # many beyond the clamp
    torch.testing.assert_close(ours.decode(deltas, anchors), theirs.decode_single(deltas, anchors), rtol=1e-4, atol=1e-3)


def test_sides_grow_no_more_than_max_ratio_times() -> None:
    box = DeltaXYWHCoder().decode(torch.tensor([[0.0, 0.0, 100.0, math.log(62.5) + 1e-3]]), ANCHOR)
    torch.testing.assert_close(box[0, 2:] - box[0, :2], torch.tensor([625.0, 1250.0]))
    box = DeltaXYWHCoder(max_ratio=2.0).decode(torch.tensor([[0.0, 0.0, 1e4, 0.5]]), ANCHOR)
    torch.testing.assert_close(box[0, 2:] - box[0, :2], torch.tensor([20.0, 20 * math.exp(0.5)]))


def test_sides_may_shrink_to_nothing_but_not_below() -> None:
    box = DeltaXYWHCoder().decode(torch.tensor([[0.0, 0.0, -1e4, -1e4]]), ANCHOR)
    assert box.tolist() == [[5.0, 10.0, 5.0, 10.0]]


def test_one_set_of_anchors_serves_a_batch() -> None:
    coder, anchors = DeltaXYWHCoder(), boxes(7, 1)
    deltas = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(3))
    decoded = coder.decode(deltas, anchors)
    assert decoded.shape == (3, 7, 4)
    torch.testing.assert_close(decoded[2], coder.decode(deltas[2], anchors))


def test_gradient_of_decoding_is_finite_and_zero_beyond_the_clamp() -> None:
    deltas = torch.tensor([[1.0, 1.0, 50.0, -0.5]], requires_grad=True)
    DeltaXYWHCoder().decode(deltas, ANCHOR)[:, 2:].sum().backward()
    # x2 = 10 dx + 5 + 5 exp(dw), y2 = 20 dy + 10 + 10 exp(dh)
    torch.testing.assert_close(deltas.grad, torch.tensor([[10.0, 20.0, 0.0, 10 * math.exp(-0.5)]]))


def test_no_boxes_give_no_deltas() -> None:
    assert DeltaXYWHCoder().encode(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)
    assert DeltaXYWHCoder().decode(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)


def test_numbers_that_are_not_positive_are_refused() -> None:
    with pytest.raises(ValueError, match=r"positive numbers, got \[1.0, 0.0, 1.0, 1.0\] and 62.5"):
        DeltaXYWHCoder((1.0, 0.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"positive numbers, got .* and -1"):
        DeltaXYWHCoder(max_ratio=-1)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_on_a_gpu_no_weight_is_copied_there(weights: tuple[float, float, float, float]) -> None:
    class NoCopies(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            assert "copy" not in func.__name__, func
            return func(*args, **(kwargs or {}))

    with FakeTensorMode(), NoCopies():
        deltas = torch.empty(6, 4, device="cuda")
        decoded = DeltaXYWHCoder(weights).decode(deltas, deltas)
        assert DeltaXYWHCoder(weights).encode(decoded, deltas).device.type == "cuda"
