"""Quality focal loss; its values against the formula are in test_sigmoid_loss.py."""

from __future__ import annotations

import math

import pytest
import torch

from dettoolkit.modeling.losses import FocalLoss, QualityFocalLoss

LABELS = torch.tensor([0, 1, 2, -1, -2, 0, 1, -1])


def logits() -> torch.Tensor:
    return torch.linspace(-9, 9, 24).reshape(8, 3).requires_grad_()


def test_an_undecided_score_by_hand() -> None:
    # p = 0.5, quality 0.8: |0.8 - 0.5|^2 log 2; the other class: 0.5^2 log 2
    loss = QualityFocalLoss()(torch.zeros(1, 2), torch.tensor([1]), quality=torch.tensor([0.8]))
    assert loss.item() == pytest.approx((0.09 + 0.25) * math.log(2))


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_boxes_of_quality_one_make_it_focal_loss(beta: float) -> None:
    x = logits()
    ours, theirs = QualityFocalLoss(beta)(x, LABELS, quality=torch.ones(8)), FocalLoss(None, beta)(x, LABELS)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, x)[0] for loss in (ours, theirs)))


def test_a_positive_of_quality_zero_is_a_negative() -> None:
    x = logits()
    ours = QualityFocalLoss()(x, LABELS, quality=torch.zeros(8))
    torch.testing.assert_close(ours, QualityFocalLoss()(x, LABELS.clamp(max=-1), quality=torch.ones(8)))


@pytest.mark.parametrize("quality", [0.1, 0.5, 0.93])
def test_the_loss_is_smallest_where_the_score_is_the_quality(quality: float) -> None:
    best = math.log(quality / (1 - quality))
    x = torch.tensor([[best - 0.2], [best], [best + 0.2]], requires_grad=True)
    losses = QualityFocalLoss()(x, torch.zeros(3, dtype=torch.int64), quality=torch.full((3,), quality), by_anchor=True)
    slope = torch.autograd.grad(losses.sum(), x)[0].flatten()
    assert slope[0] < 0 < slope[2]
    assert slope[1].item() == pytest.approx(0, abs=1e-6)
    assert losses[1].item() == pytest.approx(0, abs=1e-9)
    assert losses[0] > losses[1] < losses[2]


@pytest.mark.parametrize("beta", [-1.0, 0.5])
def test_a_beta_out_of_range_is_named(beta: float) -> None:
    with pytest.raises(ValueError, match=f"beta expects 0, or 1 and more, got {beta}"):
        QualityFocalLoss(beta)
