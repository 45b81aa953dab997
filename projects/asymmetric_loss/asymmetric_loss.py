"""Asymmetric loss, as an entry of LOSSES."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from dettoolkit.registry import LOSSES
from dettoolkit.structures import IGNORED


@LOSSES.register()
class AsymmetricLoss:
    """Asymmetric loss (Ridnik et al., "Asymmetric Loss for Multi-Label Classification", ICCV 2021, equations 5 to 7).

    Focal loss with an exponent of its own for the class of the label and for the other classes, and with a margin m
    below which a wrong class costs nothing: for p = sigmoid(logit) and p_m = max(p - m, 0),
    ``-(1 - p)^gamma_positive log(p)`` for the class of the label and ``-p_m^gamma_negative log(1 - p_m)`` for the others.

    Args:
        gamma_positive: how much easy objects are played down; the paper takes less than for the negatives.
        gamma_negative: how much easy background is played down.
        margin: probability that a wrong class may have for nothing.

    Raises:
        ValueError: an exponent between 0 and 1, where the gradient would be infinite, or a margin outside of [0, 1).
    """

    needs_quality = False

    def __init__(self, gamma_positive: float = 0.0, gamma_negative: float = 4.0, margin: float = 0.05) -> None:
        for name, gamma in (("gamma_positive", gamma_positive), ("gamma_negative", gamma_negative)):
            if gamma != 0 and gamma < 1:
                raise ValueError(f"{name} expects 0, or 1 and more, got {gamma}")
        if not 0 <= margin < 1:
            raise ValueError(f"margin expects a number in [0, 1), got {margin}")
        self.gamma_positive = gamma_positive
        self.gamma_negative = gamma_negative
        self.margin = margin

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        quality: Tensor | None = None,
        by_anchor: bool = False,
    ) -> Tensor:
        """Return the loss of ``logits [..., K]`` and ``labels [...]``: a float32 sum, or ``[...]`` by anchor."""
        x = logits.float()
        is_class = labels[..., None] == torch.arange(x.shape[-1], device=x.device)  # [..., K]
        losses = torch.where(is_class, self._of_label(x), self._of_others(x)).sum(-1)
        losses = torch.where(labels == IGNORED, 0.0, losses)
        if weights is not None:
            losses = losses * weights
        return losses if by_anchor else losses.sum()

    def _of_label(self, x: Tensor) -> Tensor:
        return torch.sigmoid(-x) ** self.gamma_positive * -functional.logsigmoid(x)

    def _of_others(self, x: Tensor) -> Tensor:
        shifted = (torch.sigmoid(x) - self.margin).clamp(min=0)
        if self.margin == 0:  # log(1 - p) by its own function, exact where p rounds to 1
            return shifted**self.gamma_negative * -functional.logsigmoid(-x)
        return shifted**self.gamma_negative * -torch.log1p(-shifted)
