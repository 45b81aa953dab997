"""The reference: losses over sigmoid outputs as the papers write them, that all implementations are tested against.

One-hot targets, float64, every output on its own, and the gradient by autograd: slow, large, and plain to read. For logits
beyond about 700 these formulas are infinite or undefined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from dettoolkit.structures import IGNORED

# logits [..., K], whether each is that of the label's class, qualities [..., 1] -> losses [..., K]
Reference: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]


def reference_losses(
    reference: Reference, logits: Tensor, labels: Tensor, weights: Tensor | None = None, quality: Tensor | None = None
) -> Tensor:
    """Return float64 losses ``[...]`` of ``logits [..., K]``, which can be differentiated any number of times.

    Args:
        reference: one of the formulas of this module.
        logits: ``[..., K]``.
        labels: ``[...]``: 0..K-1, -1 for background, -2 for ignored.
        weights: ``[...]``; None for 1.
        quality: ``[...]``; None for 1.
    """
    one_hot = labels[..., None] == torch.arange(logits.shape[-1], device=logits.device)
    quality = torch.ones_like(labels, dtype=torch.float64) if quality is None else quality.double()
    losses = reference(logits.double(), one_hot, quality[..., None]).sum(-1)
    if weights is not None:
        losses = losses * weights.double()
    return torch.where(labels == IGNORED, 0.0, losses)


def focal(alpha: float | Tensor | None, gamma: float) -> Reference:
    """Return focal loss (Lin et al., ICCV 2017, equation 5); cross-entropy for gamma = 0. alpha may be ``[K]``."""
    return lambda x, own, quality: -_alpha_t(own, alpha) * (1 - _p_t(x, own)) ** gamma * _p_t(x, own).log()


def focal_star(gamma: float, beta: float, alpha: float | Tensor | None) -> Reference:
    """Return FL* (Lin et al., ICCV 2017, appendix A, equations 7 and 8)."""

    def loss(x: Tensor, own: Tensor, quality: Tensor) -> Tensor:
        x_t = torch.where(own, x, -x)
        return -_alpha_t(own, alpha) * (1 / (1 + (-gamma * x_t - beta).exp())).log() / gamma

    return loss


def hinge(margin: float) -> Reference:
    """Return hinge loss on p_t (Lin et al., ICCV 2017, section 5.1)."""
    return lambda x, own, quality: torch.relu(margin - _p_t(x, own))


def quality_focal(beta: float) -> Reference:
    """Return quality focal loss (Li et al., NeurIPS 2020, equation 2)."""

    def loss(x: Tensor, own: Tensor, quality: Tensor) -> Tensor:
        p, y = 1 / (1 + (-x).exp()), quality * own
        return -((y - p).abs() ** beta) * ((1 - y) * (1 - p).log() + y * p.log())

    return loss


def varifocal(alpha: float, gamma: float) -> Reference:
    """Return varifocal loss (Zhang et al., CVPR 2021, equation 2)."""

    def loss(x: Tensor, own: Tensor, quality: Tensor) -> Tensor:
        p, q = 1 / (1 + (-x).exp()), quality * own
        return torch.where(q > 0, -q * (q * p.log() + (1 - q) * (1 - p).log()), -alpha * p**gamma * (1 - p).log())

    return loss


def _p_t(x: Tensor, own: Tensor) -> Tensor:
    return torch.where(own, 1 / (1 + (-x).exp()), 1 / (1 + x.exp()))


def _alpha_t(own: Tensor, alpha: float | Tensor | None) -> Tensor | float:
    return 1.0 if alpha is None else torch.where(own, alpha, 1 - alpha).double()
