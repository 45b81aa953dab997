"""Varifocal loss: the score of a class learns how good the box is, good boxes first."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from dettoolkit.modeling.losses.class_weights import ClassWeights
from dettoolkit.modeling.losses.focal import focal_side
from dettoolkit.modeling.losses.kernels import Formula
from dettoolkit.modeling.losses.quality_focal import soft_cross_entropy
from dettoolkit.modeling.losses.sigmoid_loss import sigmoid_loss
from dettoolkit.registry import LOSSES


@LOSSES.register()
class VarifocalLoss:
    """Varifocal loss (Zhang et al., "VarifocalNet", CVPR 2021, equation 2).

    For p = sigmoid(logit): ``-q (q log(p) + (1 - q) log(1 - p))`` where q > 0, and ``-alpha p^gamma log(1 - p)`` where
    q = 0. q is the quality of the anchor for the class of its label, and 0 for each other class: only negatives are played
    down, and positives count as much as they are good.

    Args:
        alpha: weight of the negatives; other than in focal loss, the positives' does not depend on it.
        gamma: how much easy negatives are played down.
        class_weights: what anchors of an object count, by class: none, a list of numbers, or computed from the boxes of the
            training set, with a mean of 1 over them: inverse (1 / n), sqrt (1 / sqrt(n)) or effective_number.
        effective_number_beta: of effective_number, ``(1 - beta) / (1 - beta^n)``; 0 is none, towards 1 it becomes inverse.
        num_classes: K (wired).

    Raises:
        ValueError: a negative number.
    """

    needs_quality = True
    takes_bfloat16 = True

    def __init__(
        self,
        alpha: float = 0.75,
        gamma: float = 2.0,
        class_weights: Literal["none", "inverse", "sqrt", "effective_number"] | list[float] = "none",
        effective_number_beta: float = 0.999,
        num_classes: int | None = None,
    ) -> None:
        if alpha < 0 or gamma < 0:
            raise ValueError(f"expected alpha >= 0 and gamma >= 0, got {alpha} and {gamma}")
        self.alpha = alpha
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
        """Return the loss of ``logits [..., K]``, ``labels [...]`` and ``quality [...]`` in 0..1.

        Raises:
            ValueError: there is no quality.
        """
        if quality is None:
            raise ValueError("VarifocalLoss expects quality [...], a number in 0..1 for each anchor, got none")
        weights = self.class_weights.times(logits, labels, weights)
        negative = partial(_without_quality, alpha=self.alpha, gamma=self.gamma)
        positive = partial(_own_side, alpha=self.alpha, gamma=self.gamma)
        formula = Formula("varifocal", (self.alpha, self.gamma), negative, positive)
        return sigmoid_loss(logits, labels, formula, weights, quality, by_anchor)


def _without_quality(x: Tensor, alpha: float, gamma: float) -> tuple[Tensor, Tensor]:
    """Return the loss where q = 0 and its derivative."""
    loss, slope = focal_side(x, gamma)
    return loss.mul_(alpha), slope.mul_(alpha)


def _own_side(x: Tensor, quality: Tensor | None, alpha: float, gamma: float) -> tuple[Tensor, Tensor]:
    """Return the loss of the label's class and its derivative."""
    assert quality is not None  # checked by the loss
    loss, slope = soft_cross_entropy(x, quality)
    negative_loss, negative_slope = _without_quality(x, alpha, gamma)
    good = quality > 0
    return torch.where(good, quality * loss, negative_loss), torch.where(good, quality * slope, negative_slope)
