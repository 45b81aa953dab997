"""Focal loss on logits with integer labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from dettoolkit.registry import LOSSES
from dettoolkit.structures import IGNORED

_CHUNK = 1 << 18  # elements worked on at a time: the intermediate values stay in the processor's cache


def sigmoid_focal_loss(
    logits: Tensor,
    labels: Tensor,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    weights: Tensor | None = None,
    by_anchor: bool = False,
) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017, equation 5), summed.

    ``FL(p_t) = -alpha_t (1 - p_t)^gamma log(p_t)`` over the sigmoid outputs of K classes, where p_t is p for the class of
    the label and 1 - p for each other class, and alpha_t is alpha or 1 - alpha likewise. It works on logits by the
    analytic gradient, so that it is finite for logits of any size; there is no one-hot target.

    Args:
        logits: ``[..., K]`` of any float dtype; computed in float32 (float64 stays).
        labels: ``[...]`` int64: 0..K-1, -1 for background, -2 for ignored (no loss and exactly zero gradient).
        alpha: weight of the class of the label; None for no weighting of either side.
        gamma: focusing exponent, >= 0; 0 is (alpha-balanced) cross-entropy.
        weights: ``[...]`` weight of each anchor, without gradient; None for 1.
        by_anchor: whether to return ``[...]`` losses rather than their sum.

    Returns:
        A scalar float32, or ``[...]``. It can be differentiated once; a second derivative raises an error.

    Raises:
        ValueError: the shapes do not agree, or gamma or alpha out of range.
        RuntimeError: a backward pass with ``create_graph``, which a second derivative needs.
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"expected logits [..., K] and labels [...], got {list(logits.shape)} and {list(labels.shape)}")
    if weights is not None and weights.shape != labels.shape:
        raise ValueError(f"expected weights [...] as labels, got {list(weights.shape)} and {list(labels.shape)}")
    if gamma < 0 or not (alpha is None or 0 <= alpha <= 1):
        raise ValueError(f"expected gamma >= 0 and alpha in 0..1 or None, got {gamma} and {alpha}")
    losses = _FocalLoss.apply(logits, labels, alpha, gamma)
    if weights is not None:
        losses = losses * weights
    return losses if by_anchor else losses.sum()


class _FocalLoss(torch.autograd.Function):
    """Losses by anchor, with the gradient worked out in the same pass over the logits."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, alpha: float | None, gamma: float) -> Tensor:
        num_classes = logits.shape[-1]
        rows, labels = logits.reshape(-1, num_classes), labels.reshape(-1)
        dtype = torch.promote_types(logits.dtype, torch.float32)
        losses = torch.empty(len(rows), dtype=dtype, device=logits.device)
        gradient = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        # on an accelerator each launch costs more than the memory that chunks would save
        step = max(1, _CHUNK // max(num_classes, 1)) if logits.device.type == "cpu" else max(len(rows), 1)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            loss, slope = _values_and_slopes(rows[part].to(dtype), labels[part], alpha, gamma)
            losses[part] = loss
            if gradient is not None:
                gradient[part] = slope
        if gradient is not None:
            ctx.save_for_backward(gradient)
        ctx.shape = logits.shape
        return losses.reshape(ctx.shape[:-1])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        if torch.is_grad_enabled():  # once_differentiable stays silent where upstream is a constant
            raise RuntimeError("sigmoid_focal_loss can be differentiated once only: create_graph=True is not supported")
        (gradient,) = ctx.saved_tensors
        # the product is rounded after it is made: a loss scale of 65536 is infinite in float16
        scaled = (gradient * upstream.reshape(-1, 1)).to(gradient.dtype)
        return scaled.reshape(ctx.shape), None, None, None


def _values_and_slopes(rows: Tensor, labels: Tensor, alpha: float | None, gamma: float) -> tuple[Tensor, Tensor]:
    """Return losses ``[M]`` and their derivatives ``[M, K]``."""
    positive_weight, negative_weight = (1.0, 1.0) if alpha is None else (alpha, 1.0 - alpha)
    loss, slope = _side(rows, gamma)  # every class of every row as if it were background
    loss, slope = loss.mul_(negative_weight), slope.mul_(negative_weight)
    positive = torch.nonzero(labels >= 0).flatten()
    classes = labels[positive]
    # the class of the label looks the other way: the formula of the negatives at -x
    own_loss, own_slope = _side(-rows[positive, classes], gamma)
    loss[positive, classes] = own_loss * positive_weight
    slope[positive, classes] = -own_slope * positive_weight
    ignored = torch.nonzero(labels == IGNORED).flatten()
    loss.index_fill_(0, ignored, 0.0)
    slope.index_fill_(0, ignored, 0.0)
    return loss.sum(-1), slope


def _side(x: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Return ``p^gamma * -log(1 - p)`` and its derivative, for ``p = sigmoid(x)``.

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
    """Focal loss (Lin et al., ICCV 2017), see :func:`sigmoid_focal_loss`.

    Args:
        alpha: weight of the class of the label, 1 - alpha for the others; null: no weighting.
        gamma: how much easy examples are played down; 0 is cross-entropy.

    Raises:
        ValueError: a number out of range.
    """

    needs_quality = False

    def __init__(self, alpha: float | None = 0.25, gamma: float = 2.0) -> None:
        if gamma < 0 or not (alpha is None or 0 <= alpha <= 1):
            raise ValueError(f"expected gamma >= 0 and alpha in 0..1 or null, got {gamma} and {alpha}")
        self.alpha = alpha
        self.gamma = gamma

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        weights: Tensor | None = None,
        quality: Tensor | None = None,
        by_anchor: bool = False,
    ) -> Tensor:
        """Return the loss of ``logits [..., K]`` and ``labels [...]``: a float32 sum, or ``[...]`` by anchor."""
        return sigmoid_focal_loss(logits, labels, self.alpha, self.gamma, weights, by_anchor)
