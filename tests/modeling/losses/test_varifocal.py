"""Varifocal loss; its values against the formula are in test_sigmoid_loss.py."""

from __future__ import annotations

import math

import pytest
import torch

from dettoolkit.modeling.losses import CrossEntropyLoss, FocalLoss, VarifocalLoss


def test_an_undecided_score_by_hand() -> None:
    # p = 0.5. Label's class, quality 0.8: 0.8 log 2. The other class: 0.75 * 0.5^2 log 2
    loss = VarifocalLoss()(torch.zeros(1, 2), torch.tensor([1]), quality=torch.tensor([0.8]))
    assert loss.item() == pytest.approx((0.8 + 0.1875) * math.log(2))


def test_negatives_are_those_of_focal_loss_with_the_other_alpha() -> None:
    # focal loss weighs negatives by 1 - alpha
    x, labels = torch.linspace(-9, 9, 24).reshape(8, 3), torch.full((8,), -1)
    expected = FocalLoss(alpha=0.25, gamma=2.0)(x, labels)
    torch.testing.assert_close(VarifocalLoss(0.75, 2.0)(x, labels, quality=torch.rand(8)), expected)


def test_a_perfect_box_counts_in_full_and_is_not_played_down() -> None:
    x, labels = torch.linspace(-9, 9, 8)[:, None], torch.zeros(8, dtype=torch.int64)
    expected = CrossEntropyLoss()(x, labels, by_anchor=True)
    torch.testing.assert_close(VarifocalLoss()(x, labels, quality=torch.ones(8), by_anchor=True), expected)


def test_a_positive_of_quality_zero_is_a_negative() -> None:
    x, quality = torch.linspace(-9, 9, 8)[:, None], torch.zeros(8)
    positive = VarifocalLoss()(x, torch.zeros(8, dtype=torch.int64), quality=quality)
    torch.testing.assert_close(positive, VarifocalLoss()(x, torch.full((8,), -1), quality=quality))


@pytest.mark.parametrize(("alpha", "gamma"), [(-0.1, 2.0), (0.75, -1.0)])
def test_numbers_out_of_range_are_named(alpha: float, gamma: float) -> None:
    with pytest.raises(ValueError, match=f"expected alpha >= 0 and gamma >= 0, got {alpha} and {gamma}"):
        VarifocalLoss(alpha, gamma)
