"""What a loss over sigmoid outputs says of one output, and what every implementation is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

# logits x -> losses of outputs that should be 0, and their derivatives by x: new tensors of the shape of x
Negative: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
# the same for logits ``[P]`` of the class of the label, with their qualities ``[P]`` where the loss learns one
Positive: TypeAlias = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Formula:
    """A loss over sigmoid outputs, for PyTorch and for the Triton kernel.

    Args:
        kind: the kernel's branch: focal, focal_star, hinge, quality or varifocal.
        numbers: what the branch computes with, by the names of its parameters.
        negative: the formula of all outputs but that of the label's class.
        positive: the formula of the output of the label's class.
        positive_weight: what the kernel multiplies the label's class with; ``positive`` has it already.
        negative_weight: the same of the other classes.
    """

    kind: str
    numbers: tuple[float, ...]
    negative: Negative
    positive: Positive
    positive_weight: float = 1.0
    negative_weight: float = 1.0


@dataclass(frozen=True)
class Work:
    """What an implementation is given of N images with R rows of K classes; no tensor needs to be contiguous.

    Args:
        logits: ``[N, R, K]``.
        labels: ``[N, R]`` int64: 0..K-1, -1 for background, -2 for ignored.
        weights: ``[N, R]`` in the dtype of the losses, multiplied into losses and gradient; None for 1.
        quality: ``[N, R]`` in the dtype of the losses; None where the formula needs none.
        formula: the loss.
        with_gradient: whether the gradient is wanted.
        gradient_scale: what the gradient is multiplied with before it is rounded to the logits' dtype.
        by_anchor: whether losses ``[N, R]`` are wanted rather than their sum.
        alpha: ``[K]`` in the dtype of the losses: what the formula is multiplied with at the output of the label's class, and
            one minus that at the other outputs; None for 1 everywhere.
    """

    logits: Tensor
    labels: Tensor
    weights: Tensor | None
    quality: Tensor | None
    formula: Formula
    with_gradient: bool
    gradient_scale: float
    by_anchor: bool
    alpha: Tensor | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Of losses and intermediate values."""
        return torch.promote_types(self.logits.dtype, torch.float32)


def balanced(kind: str, numbers: tuple[float, ...], side: Negative, alpha: float | Tensor | None) -> Formula:
    """Return the formula of a loss that depends on p_t alone, weighted by alpha_t.

    p_t at logit x of the label's class is p_t at -x of another class, so that one formula says both.

    Args:
        kind: the kernel's branch.
        numbers: what the branch computes with.
        side: the formula of the negatives.
        alpha: weight of the label's class, 1 - alpha for the others; None for no weighting of either. ``[K]`` is none of the
            formula's business: :class:`Work` has it.
    """
    positive_weight, negative_weight = (1.0, 1.0) if alpha is None or isinstance(alpha, Tensor) else (alpha, 1.0 - alpha)

    def negative(x: Tensor) -> tuple[Tensor, Tensor]:
        loss, slope = side(x)
        return loss.mul_(negative_weight), slope.mul_(negative_weight)

    def positive(x: Tensor, quality: Tensor | None) -> tuple[Tensor, Tensor]:
        loss, slope = side(-x)
        return loss * positive_weight, -slope * positive_weight

    return Formula(kind, numbers, negative, positive, positive_weight, negative_weight)
