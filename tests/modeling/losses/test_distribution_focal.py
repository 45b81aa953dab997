"""Distribution focal loss against its formula in float64, and its properties."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dettoolkit.modeling.losses import DistributionFocalLoss


def formula(logits: Tensor, target: Tensor) -> Tensor:
    """Return the losses ``[P]``, by loops over boxes and sides."""
    losses = []
    for box, distances in zip(logits.double(), target.tolist(), strict=True):
        total: Tensor = torch.zeros(())
        for side, y in zip(box, distances, strict=True):
            s = side.exp() / side.exp().sum()
            left = min(math.floor(y), len(side) - 2)
            total = total - ((left + 1 - y) * s[left].log() + (y - left) * s[left + 1].log())
        losses.append(total)
    return torch.stack(losses)


def example(boxes: int, bins: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Return logits, and targets with whole numbers and both ends among them."""
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(boxes, 4, bins, generator=generator, dtype=torch.float64) * 3).to(dtype).requires_grad_()
    target = torch.rand(boxes, 4, generator=generator) * (bins - 1)
    target[0] = torch.tensor([0.0, 1.0, bins - 1.0, bins - 2.0])
    return logits, target


@pytest.mark.parametrize("bins", [2, 3, 17])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_value_and_gradient_are_the_formula_s(bins: int, dtype: torch.dtype) -> None:
    logits, target = example(6, bins, dtype)
    weights = torch.linspace(0, 2, 6)
    ours = DistributionFocalLoss()(logits, target, weights)
    wide = logits.detach().double().requires_grad_()
    theirs = (formula(wide, target) * weights).sum()
    assert ours.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-6, atol=1e-6)
    slopes = [torch.autograd.grad(loss, x)[0].double() for loss, x in ((ours, logits), (theirs, wide))]
    torch.testing.assert_close(*slopes, rtol=2**-8 if dtype == torch.bfloat16 else 1e-5, atol=1e-6)


def test_gradient_is_the_slope_of_the_value() -> None:
    logits, target = example(3, 5, torch.float64)
    assert torch.autograd.gradcheck(lambda x: DistributionFocalLoss()(x, target.double()), logits)


def test_one_side_by_hand() -> None:
    # bins 0, 1, 2 have probabilities 1/2, 1/4, 1/4; target 0.25: 0.75 log 2 + 0.25 log 4; three sides at 2: log 4 each
    logits = torch.tensor([2.0, 1.0, 1.0]).log().expand(1, 4, 3)
    loss = DistributionFocalLoss()(logits, torch.tensor([[0.25, 2.0, 2.0, 2.0]]))
    assert loss.item() == pytest.approx((0.75 + 0.5 + 6) * math.log(2))


def test_it_is_smallest_for_the_two_nearest_bins_with_the_target_as_mean() -> None:
    share = torch.tensor([0.0, 0.7, 0.3, 0.0])
    logits = (share + 1e-9).log().expand(1, 4, 4).clone().requires_grad_()
    loss = DistributionFocalLoss()(logits, torch.full((1, 4), 1.3))
    assert loss.item() == pytest.approx(-4 * (0.7 * math.log(0.7) + 0.3 * math.log(0.3)), rel=1e-5)
    assert torch.autograd.grad(loss, logits)[0].abs().max() < 1e-6


def test_targets_outside_of_the_bins_count_as_the_nearest() -> None:
    logits, _ = example(1, 4)
    outside, inside = torch.tensor([[-1.0, 3.5, 99.0, 0.5]]), torch.tensor([[0.0, 3.0, 3.0, 0.5]])
    torch.testing.assert_close(DistributionFocalLoss()(logits, outside), DistributionFocalLoss()(logits, inside))


def test_huge_logits_are_finite() -> None:
    logits = torch.tensor([1e4, -1e4, 0.0]).expand(1, 4, 3).clone().requires_grad_()
    loss = DistributionFocalLoss()(logits, torch.tensor([[0.0, 0.5, 1.0, 2.0]]))
    assert loss.item() == pytest.approx(0 + 1e4 + 2e4 + 1e4)  # what their bins lack to 1e4
    assert torch.autograd.grad(loss, logits)[0].isfinite().all()


def test_no_boxes_give_zero_with_a_gradient() -> None:
    logits = torch.zeros(0, 4, 17, requires_grad=True)
    loss = DistributionFocalLoss()(logits, torch.zeros(0, 4), torch.zeros(0))
    assert loss.item() == 0
    assert loss.dtype == torch.float32
    assert torch.autograd.grad(loss, logits)[0].shape == (0, 4, 17)


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 1), (3, 4, 5)])
def test_shapes_that_do_not_agree_are_named(shape: tuple[int, ...]) -> None:
    message = (
        rf"expected logits \[P, 4, n \+ 1\] of two bins or more and targets \[P, 4\], got \[{', '.join(map(str, shape))}\]"
    )
    with pytest.raises(ValueError, match=message):
        DistributionFocalLoss()(torch.zeros(shape), torch.zeros(2, 4))


def test_it_says_what_it_operates_on() -> None:
    assert DistributionFocalLoss.operates_on == "distribution"
