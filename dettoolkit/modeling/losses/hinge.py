"""Hinge loss on p_t, which the paper tried in vain."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from dettoolkit.modeling.losses.class_weights import ClassWeights
from dettoolkit.modeling.losses.kernels import balanced
from dettoolkit.modeling.losses.sigmoid_loss import sigmoid_loss
from dettoolkit.registry import LOSSES


@LOSSES.register()
class HingeLoss:
    """Hinge loss on p_t: ``max(0, margin - p_t)`` (Lin et al., ICCV 2017, section 5.1, "Hinge Loss").

    p_t is the probability p of the label's class and 1 - p of each other class (equation 2). The paper gives no formula:
    it says that the loss is 0 above a certain p_t, which is the margin here, and that training with it was unstable. On
    probabilities the gradient vanishes for outputs that are surely wrong, too.

    Args:
        margin: the p_t from which on an example costs nothing.
        class_weights: what anchors of an object count, by class: none, a list of numbers, or computed from the boxes of the
            training set, with a mean of 1 over them: inverse (1 / n), sqrt (1 / sqrt(n)) or effective_number.
        effective_number_beta: of effective_number, ``(1 - beta) / (1 - beta^n)``; 0 is none, towards 1 it becomes inverse.
        num_classes: K (wired).

    Raises:
        ValueError: a margin outside of (0, 1].
    """

    needs_quality = False
    takes_bfloat16 = True

    def __init__(
        self,
        margin: float = 0.5,
        class_weights: Literal["none", "inverse", "sqrt", "effective_number"] | list[float] = "none",
        effective_number_beta: float = 0.999,
        num_classes: int | None = None,
    ) -> None:
        if not 0 < margin <= 1:
            raise ValueError(f"margin expects a number above 0 and at most 1, got {margin}")
        self.margin = margin
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
        formula = balanced("hinge", (self.margin,), partial(_side, margin=self.margin), alpha=None)
        return sigmoid_loss(logits, labels, formula, weights, by_anchor=by_anchor)


def _side(x: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Return the loss of negatives, where p_t is 1 - p, and its derivative."""
    p = torch.sigmoid(x)
    loss = (p - (1 - margin)).clamp_(min=0)
    return loss, p * torch.sigmoid(-x) * (loss > 0)
