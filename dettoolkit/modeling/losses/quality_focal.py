"""Quality focal loss: the score of a class learns how good the box is."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from dettoolkit.modeling.losses.class_weights import ClassWeights
from dettoolkit.modeling.losses.focal import focal_side
from dettoolkit.modeling.losses.kernels import Formula
from dettoolkit.modeling.losses.sigmoid_loss import sigmoid_loss
from dettoolkit.registry import LOSSES


@LOSSES.register()
class QualityFocalLoss:
    """Quality focal loss (Li et al., "Generalized Focal Loss", NeurIPS 2020, equation 2).

    ``QFL = -|y - p|^beta ((1 - y) log(1 - p) + y log(p))`` for p = sigmoid(logit), where y is the quality of the anchor for
    the class of its label, and 0 for each other class. It is smallest, 0, where the score equals the quality.

    Args:
        beta: how much scores near to their quality are played down; 0 is cross-entropy with soft targets.
        class_weights: what anchors of an object count, by class: none, a list of numbers, or computed from the boxes of the
            training set, with a mean of 1 over them: inverse (1 / n), sqrt (1 / sqrt(n)) or effective_number.
        effective_number_beta: of effective_number, ``(1 - beta) / (1 - beta^n)``; 0 is none, towards 1 it becomes inverse.
        num_classes: K (wired).

    Raises:
        ValueError: a negative beta, or one between 0 and 1, with which the gradient is infinite where p meets y.
    """

    needs_quality = True
    takes_bfloat16 = True

    def __init__(
        self,
        beta: float = 2.0,
        class_weights: Literal["none", "inverse", "sqrt", "effective_number"] | list[float] = "none",
        effective_number_beta: float = 0.999,
        num_classes: int | None = None,
    ) -> None:
        if beta != 0 and beta < 1:
            raise ValueError(f"beta expects 0, or 1 and more, got {beta}")
        self.beta = beta
        self.class_weights = ClassWeights(class_weights, num_classes, effective_number_beta)

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        quality: Tensor | None = None,
        by_anchor: bool = False,
    ) -> Tensor:
        """Return the loss of ``logits [..., K]``, ``labels [...]`` and ``quality [...]`` in 0..1.

        Raises:
            ValueError: there is no quality.
        """
        if quality is None:
            raise ValueError("QualityFocalLoss expects quality [...], a number in 0..1 for each anchor, got none")
        weights = self.class_weights.times(logits, labels, weights)
        negative, positive = partial(focal_side, gamma=self.beta), partial(_own_side, beta=self.beta)
        return sigmoid_loss(logits, labels, Formula("quality", (self.beta,), negative, positive), weights, quality, by_anchor)


def soft_cross_entropy(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``-(1 - y) log(1 - p) - y log(p)`` for p = sigmoid(x) and y = target in 0..1, and its derivative p - y.

    Neither loses digits where p comes near to 0 or 1.
    """
    loss = (1 - target) * functional.softplus(x) + target * functional.softplus(-x)
    return loss, (1 - target) * torch.sigmoid(x) - target * torch.sigmoid(-x)


def _own_side(x: Tensor, quality: Tensor | None, beta: float) -> tuple[Tensor, Tensor]:
    """Return the loss of the label's class and its derivative."""
    assert quality is not None  # checked by the loss
    loss, distance = soft_cross_entropy(x, quality)
    if beta == 0:
        return loss, distance
    # (|d|^b L)' = |d|^b d + b |d|^(b-1) sign(d) p (1 - p) L, where d = p - y is also L'
    inner = distance.abs() ** (beta - 1) * distance.sign()
    slope = inner * (distance * distance + beta * torch.sigmoid(x) * torch.sigmoid(-x) * loss)
    return loss * distance.abs() ** beta, slope
