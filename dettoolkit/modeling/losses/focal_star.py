"""The other form of focal loss, of the paper's appendix."""

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


@LOSSES.register()
class FocalStarLoss:
    """FL* (Lin et al., ICCV 2017, appendix A, equations 7 and 8).

    ``FL* = -alpha_t log(sigmoid(gamma x_t + beta)) / gamma``, where x_t is the logit of the label's class and minus the
    logit of each other one. Its derivative by x_t is ``alpha_t (sigmoid(gamma x_t + beta) - 1)`` (equation 11). gamma = 1 and
    beta = 0 are cross-entropy. The paper's two settings (table 3) are gamma 2, beta 1 and gamma 4, beta 0, with alpha 0.25.

    Args:
        gamma: how steep the loss falls.
        beta: how far it is shifted, in the unit of ``gamma x_t``: the larger, the less do easy examples count.
        alpha: weight of the class of the label, 1 - alpha for the others, or a list with such a number for the output of each
            class; null: no weighting.
        class_weights: what anchors of an object count, by class: none, a list of numbers, or computed from the boxes of the
            training set, with a mean of 1 over them: inverse (1 / n), sqrt (1 / sqrt(n)) or effective_number.
        effective_number_beta: of effective_number, ``(1 - beta) / (1 - beta^n)``; 0 is none, towards 1 it becomes inverse.
        num_classes: K (wired).

    Raises:
        ValueError: a gamma that is not positive, or alpha outside of 0..1.
    """

    needs_quality = False
    takes_bfloat16 = True

    def __init__(
        self,
        gamma: float = 2.0,
        beta: float = 1.0,
        alpha: float | list[float] | None = 0.25,
        class_weights: Literal["none", "inverse", "sqrt", "effective_number"] | list[float] = "none",
        effective_number_beta: float = 0.999,
        num_classes: int | None = None,
    ) -> None:
        if gamma <= 0 or not are_shares(alpha):
            raise ValueError(f"expected gamma > 0 and alpha in 0..1 or null, got {gamma} and {alpha}")
        self.gamma = gamma
        self.beta = beta
        self.alpha = alpha_by_class(alpha, num_classes)
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
        alpha = alpha_on(self.alpha, logits)
        by_class = alpha if isinstance(alpha, Tensor) else None
        side = partial(_side, gamma=self.gamma, beta=self.beta)
        formula = balanced("focal_star", (self.gamma, self.beta), side, alpha)
        return sigmoid_loss(logits, labels, formula, weights, by_anchor=by_anchor, alpha=by_class)


def _side(x: Tensor, gamma: float, beta: float) -> tuple[Tensor, Tensor]:
    """Return FL* of negatives, where x_t is -x, and its derivative."""
    steep = gamma * x - beta
    return functional.softplus(steep).div_(gamma), torch.sigmoid(steep)
