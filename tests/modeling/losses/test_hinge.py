"""Hinge loss on p_t; its values against the formula are in test_sigmoid_loss.py."""

from __future__ import annotations

import math

import pytest
import torch

from dettoolkit.modeling.losses import HingeLoss


def at(p: float) -> float:
    return math.log(p / (1 - p))


def test_an_example_costs_what_its_p_t_lacks() -> None:
    # label's class at p = 0.2 lacks 0.4 of 0.6; the other class at p = 0.7 has p_t 0.3 and lacks 0.3
    x = torch.tensor([[at(0.2), at(0.7)]], requires_grad=True)
    loss = HingeLoss(0.6)(x, torch.tensor([0]))
    assert loss.item() == pytest.approx(0.7)
    # slope of p_t by x is p (1 - p): rising p helps the first, and harms the second
    assert torch.autograd.grad(loss, x)[0].flatten().tolist() == pytest.approx([-0.16, 0.21])


def test_above_the_margin_there_is_exactly_no_loss_and_no_gradient() -> None:
    x = torch.tensor([[at(0.61), at(0.39)], [at(0.01), at(0.3)]], requires_grad=True)
    loss = HingeLoss(0.6)(x, torch.tensor([0, -1]))
    assert loss.item() == 0
    assert (torch.autograd.grad(loss, x)[0] == 0).all()


def test_a_wrong_example_costs_the_margin_at_most() -> None:
    assert HingeLoss(0.6)(torch.tensor([[-1e4]]), torch.tensor([0])).item() == pytest.approx(0.6)


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.5])
def test_a_margin_out_of_range_is_named(margin: float) -> None:
    with pytest.raises(ValueError, match=f"margin expects a number above 0 and at most 1, got {margin}"):
        HingeLoss(margin)
