"""Cross-entropy of sigmoid outputs, the paper's starting point."""

from __future__ import annotations

from torch import Tensor

from dettoolkit.modeling.losses.focal import sigmoid_focal_loss
from dettoolkit.registry import LOSSES


@LOSSES.register()
class CrossEntropyLoss:
    """Cross-entropy over K sigmoid outputs, alpha-balanced if wished (Lin et al., ICCV 2017, equations 1 and 3).

    It is focal loss with gamma = 0, and computed as such.

    Args:
        alpha: weight of the class of the label, 1 - alpha for the others; null: plain cross-entropy.

    Raises:
        ValueError: alpha outside of 0..1.
    """

    needs_quality = False
    takes_bfloat16 = True

    def __init__(self, alpha: float | None = None) -> None:
        if not (alpha is None or 0 <= alpha <= 1):
            raise ValueError(f"expected alpha in 0..1 or null, got {alpha}")
        self.alpha = alpha

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        quality: Tensor | None = None,
        by_anchor: bool = False,
    ) -> Tensor:
        """Return the loss of ``logits [..., K]`` and ``labels [...]``: a float32 sum, or ``[...]`` by anchor."""
        return sigmoid_focal_loss(logits, labels, self.alpha, 0.0, weights, by_anchor)
