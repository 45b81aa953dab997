"""Cross-entropy of sigmoid outputs, the paper's starting point."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from dettoolkit.modeling.losses.by_class import alpha_by_class, alpha_on, are_shares
from dettoolkit.modeling.losses.class_weights import ClassWeights
from dettoolkit.modeling.losses.focal import sigmoid_focal_loss
from dettoolkit.registry import LOSSES


@LOSSES.register()
class CrossEntropyLoss:
    """Cross-entropy over K sigmoid outputs, alpha-balanced if wished (Lin et al., ICCV 2017, equations 1 and 3).

    It is focal loss with gamma = 0, and computed as such.

    Args:
        alpha: weight of the class of the label, 1 - alpha for the others, or a list with such a number for the output of each
            class; null: plain cross-entropy.
        class_weights: what anchors of an object count, by class: none, a list of numbers, or computed from the boxes of the
            training set, with a mean of 1 over them: inverse (1 / n), sqrt (1 / sqrt(n)) or effective_number.
        effective_number_beta: of effective_number, ``(1 - beta) / (1 - beta^n)``; 0 is none, towards 1 it becomes inverse.
        num_classes: K (wired).

    Raises:
        ValueError: alpha outside of 0..1.
    """

    needs_quality = False
    takes_bfloat16 = True

    def __init__(
        self,
        alpha: float | list[float] | None = None,
        class_weights: Literal["none", "inverse", "sqrt", "effective_number"] | list[float] = "none",
        effective_number_beta: float = 0.999,
        num_classes: int | None = None,
    ) -> None:
        if not are_shares(alpha):
            raise ValueError(f"expected alpha in 0..1 or null, got {alpha}")
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
        return sigmoid_focal_loss(logits, labels, alpha_on(self.alpha, logits), 0.0, weights, by_anchor)
