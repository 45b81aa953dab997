"""Cross-entropy over sigmoid outputs."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from dettoolkit.modeling.losses import CrossEntropyLoss

LABELS = torch.tensor([2, -1, -2, 0, 1])
TARGET = torch.tensor([[0, 0, 1], [0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=torch.float32)


def logits() -> torch.Tensor:
    return (torch.randn(5, 3, generator=torch.Generator().manual_seed(0)) * 3).requires_grad_()


@pytest.mark.parametrize("alpha", [None, 0.75])
def test_value_and_gradient_are_torchs(alpha: float | None) -> None:
    x = logits()
    ours = CrossEntropyLoss(alpha)(x, LABELS)
    side = 1.0 if alpha is None else torch.where(TARGET > 0, alpha, 1 - alpha)
    counted = (LABELS != -2)[:, None]
    expected = (functional.binary_cross_entropy_with_logits(x, TARGET, reduction="none") * side * counted).sum()
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(*(torch.autograd.grad(loss, x)[0] for loss in (ours, expected)))


def test_an_undecided_output_costs_log_two() -> None:
    assert CrossEntropyLoss()(torch.zeros(1, 2), torch.tensor([0])).item() == pytest.approx(2 * 0.693147, rel=1e-5)


def test_weights_and_losses_by_anchor() -> None:
    weights = torch.tensor([1.0, 2.0, 3.0, 0.0, 0.5])
    by_anchor = CrossEntropyLoss()(logits(), LABELS, by_anchor=True)
    assert by_anchor.shape == (5,)
    torch.testing.assert_close(CrossEntropyLoss()(logits(), LABELS, weights), (by_anchor * weights).sum())


def test_alpha_out_of_range_is_named() -> None:
    with pytest.raises(ValueError, match=r"expected alpha in 0\.\.1 or null, got 2"):
        CrossEntropyLoss(alpha=2)
