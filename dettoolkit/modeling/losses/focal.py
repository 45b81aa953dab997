"""Focal loss on logits with integer labels."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from dettoolkit.modeling.losses.by_class import alpha_by_class, alpha_on, are_shares
from dettoolkit.modeling.losses.class_weights import ClassWeights
from dettoolkit.modeling.losses.kernels import balanced
from dettoolkit.modeling.losses.sigmoid_loss import sigmoid_loss
from dettoolkit.registry import LOSSES


def sigmoid_focal_loss(
    logits: Tensor,
    labels: Tensor,
    alpha: float | Tensor | None = 0.25,
    gamma: float = 2.0,
    weights: Tensor | None = None,
    by_anchor: bool = False,
) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017, equations 4 and 5), summed.

    ``FL(p_t) = -alpha_t (1 - p_t)^gamma log(p_t)`` over the sigmoid outputs of K classes, where p_t is p for the class of
    the label and 1 - p for each other class, and alpha_t is alpha or 1 - alpha likewise. It works on logits by the
    analytic gradient, so that it is finite for logits of any size; there is no one-hot target, and nothing is kept for the
    backward pass but the gradient.

    Args:
        logits: ``[..., K]`` of any float dtype; computed in float32 (float64 stays).
        labels: ``[...]`` int64: 0..K-1, -1 for background, -2 for ignored (no loss and exactly zero gradient).
        alpha: weight of the class of the label, one for all or ``[K]`` by class, in which case 1 - alpha of each other class is
            its own; None for no weighting of either side.
        gamma: focusing exponent, >= 0; 0 is (alpha-balanced) cross-entropy.
        weights: ``[...]`` weight of each anchor, without gradient; None for 1.
        by_anchor: whether to return ``[...]`` losses rather than their sum.

    Returns:
        A scalar float32, or ``[...]``. It can be differentiated once, in any number of backward passes; a second derivative
        raises an error.

    Raises:
        ValueError: the shapes do not agree, or gamma or alpha out of range.
        IndexError: a label is no class (in the Triton kernel and under torch.compile the loss is NaN instead).
        RuntimeError: a backward pass with ``create_graph``, which a second derivative needs.
    """
    if gamma < 0 or not (alpha is None or isinstance(alpha, Tensor) or 0 <= alpha <= 1):
        raise ValueError(f"expected gamma >= 0 and alpha in 0..1 or None, got {gamma} and {alpha}")
    formula = balanced("focal", (gamma,), partial(focal_side, gamma=gamma), alpha)
    by_class = alpha if isinstance(alpha, Tensor) else None
    return sigmoid_loss(logits, labels, formula, weights, by_anchor=by_anchor, alpha=by_class)


def focal_side(x: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Return ``p^gamma * -log(1 - p)`` and its derivative, for ``p = sigmoid(x)``: focal loss of the negatives.

    The derivative is ``p^gamma (p + gamma (1 - p) * -log(1 - p))``.
    """
    p = torch.sigmoid(x)
    surprise = functional.softplus(x)  # -log(1 - p), exact for logits of any size
    if gamma == 0:
        return surprise, p
    focus = p * p if gamma == 2 else p**gamma
    slope = torch.addcmul(p, torch.sigmoid(-x), surprise, value=gamma).mul_(focus)
    return surprise.mul_(focus), slope


@LOSSES.register()
class FocalLoss:
    """Focal loss (Lin et al., ICCV 2017, equations 4 and 5), see :func:`sigmoid_focal_loss`.

    Args:
        alpha: weight of the class of the label, 1 - alpha for the others, or a list with such a number for the output of each
            class; null: no weighting.
        gamma: how much easy examples are played down; 0 is cross-entropy.
        class_weights: what anchors of an object count, by class: none, a list of numbers, or computed from the boxes of the
            training set, with a mean of 1 over them: inverse (1 / n), sqrt (1 / sqrt(n)) or effective_number.
        effective_number_beta: of effective_number, ``(1 - beta) / (1 - beta^n)``; 0 is none, towards 1 it becomes inverse.
        num_classes: K (wired).

    Raises:
        ValueError: a number out of range.
    """

    needs_quality = False
    takes_bfloat16 = True

    def __init__(
        self,
        alpha: float | list[float] | None = 0.25,
        gamma: float = 2.0,
        class_weights: Literal["none", "inverse", "sqrt", "effective_number"] | list[float] = "none",
        effective_number_beta: float = 0.999,
        num_classes: int | None = None,
    ) -> None:
        if gamma < 0 or not are_shares(alpha):
            raise ValueError(f"expected gamma >= 0 and alpha in 0..1 or null, got {gamma} and {alpha}")
        self.alpha = alpha_by_class(alpha, num_classes)
        self.gamma = gamma
        self.class_weights = ClassWeights(class_weights, num_classes, effective_number_beta)

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        quality: Tensor | None = None,
        by_anchor: bool = False,
    ) -> Tensor:
        """Return the loss of ``logits [..., K]`` and ``labels [...]``: a float32 sum, or ``[...]`` by anchor."""
        weights = self.class_weights.times(logits, labels, weights)
        return sigmoid_focal_loss(logits, labels, alpha_on(self.alpha, logits), self.gamma, weights, by_anchor)
