"""FL* by the paper's appendix; its values against the formula are in test_sigmoid_loss.py."""

from __future__ import annotations

import math

import pytest
import torch

from dettoolkit.modeling.losses import CrossEntropyLoss, FocalStarLoss


def test_gamma_one_and_beta_zero_are_cross_entropy() -> None:
    logits = torch.linspace(-9, 9, 24).reshape(8, 3).requires_grad_()
    labels = torch.tensor([0, 1, 2, -1, -2, 0, 1, -1])
    ours, theirs = FocalStarLoss(1.0, 0.0, 0.3)(logits, labels), CrossEntropyLoss(0.3)(logits, labels)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)))


@pytest.mark.parametrize(("gamma", "beta"), [(2.0, 1.0), (4.0, 0.0)])
def test_derivative_is_the_paper_s(gamma: float, beta: float) -> None:
    # appendix B, equation 11: dFL*/dx = y (p_t* - 1), p_t* = sigmoid(gamma x_t + beta)
    x = torch.tensor([[1.5], [1.5], [-0.5], [-0.5]], requires_grad=True)
    (slope,) = torch.autograd.grad(FocalStarLoss(gamma, beta, None)(x, torch.tensor([0, -1, 0, -1])), x)
    signs, x_t = [1, -1, 1, -1], [1.5, -1.5, -0.5, 0.5]
    wanted = [y * (1 / (1 + math.exp(-gamma * t - beta)) - 1) for y, t in zip(signs, x_t, strict=True)]
    assert slope.flatten().tolist() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("gamma", "beta"), [(2.0, 1.0), (4.0, 0.0)])
def test_well_classified_examples_cost_less_than_by_cross_entropy(gamma: float, beta: float) -> None:
    # appendix A: FL* with these settings diminishes the loss of examples with x_t > 0, and the more so the larger x_t is
    x = torch.linspace(0.5, 8, 16)[:, None]
    labels = torch.zeros(16, dtype=torch.int64)
    star = FocalStarLoss(gamma, beta, None)(x, labels, by_anchor=True)
    ratio = star / CrossEntropyLoss()(x, labels, by_anchor=True)
    assert (ratio < 0.25).all()
    assert (ratio.diff() < 0).all()


def test_hard_examples_are_linear() -> None:
    # for large -x_t: (gamma |x_t| - beta) / gamma, slope 1; alpha 0.25 for the label's class
    x = torch.tensor([[-1e4]], requires_grad=True)
    loss = FocalStarLoss(2.0, 1.0)(x, torch.tensor([0]))
    assert loss.item() == pytest.approx(0.25 * (1e4 - 0.5))
    assert torch.autograd.grad(loss, x)[0].item() == -0.25


def test_numbers_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match=r"expected gamma > 0 and alpha in 0\.\.1 or null, got 0 and 0\.25"):
        FocalStarLoss(gamma=0)
    with pytest.raises(ValueError, match=r"got 2\.0 and 1\.5"):
        FocalStarLoss(alpha=1.5)
