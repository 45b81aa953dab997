"""What losses over sigmoid outputs share: labels without one-hot targets, and the gradient worked out with the value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from dettoolkit.structures import IGNORED

_CHUNK = 1 << 18  # elements worked on at a time: the intermediate values stay in the processor's cache

# logits x -> losses of outputs that should be 0, and their derivatives by x: new tensors of the shape of x
Negative: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
# the same for logits ``[P]`` of the class of the label, with their qualities ``[P]`` where the loss learns one
Positive: TypeAlias = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]


def sigmoid_loss(
    logits: Tensor,
    labels: Tensor,
    negative: Negative,
    positive: Positive,
    weights: Tensor | None = None,
    quality: Tensor | None = None,
    by_anchor: bool = False,
) -> Tensor:
    """Sum a loss over the sigmoid outputs of K classes, each of which is a yes or no of its own.

    Args:
        logits: ``[..., K]`` of any float dtype; computed in float32 (float64 stays).
        labels: ``[...]`` int64: 0..K-1, -1 for background, -2 for ignored (no loss and exactly zero gradient).
        negative: the formula of all outputs but that of the label's class.
        positive: the formula of the output of the label's class.
        weights: ``[...]`` weight of each anchor, without gradient; None for 1.
        quality: ``[...]`` what ``positive`` gets of each anchor, without gradient; None where it needs none.
        by_anchor: whether to return ``[...]`` losses rather than their sum.

    Returns:
        A scalar float32, or ``[...]``. It can be differentiated once; a second derivative raises an error.

    Raises:
        ValueError: the shapes do not agree.
        RuntimeError: a backward pass with ``create_graph``, which a second derivative needs.
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(f"expected logits [..., K] and labels [...], got {list(logits.shape)} and {list(labels.shape)}")
    for name, given in (("weights", weights), ("quality", quality)):
        if given is not None and given.shape != labels.shape:
            raise ValueError(f"expected {name} [...] as labels, got {list(given.shape)} and {list(labels.shape)}")
    losses = _SigmoidLoss.apply(logits, labels, quality, negative, positive)
    if weights is not None:
        losses = losses * weights
    return losses if by_anchor else losses.sum()


def balanced(side: Negative, alpha: float | None) -> tuple[Negative, Positive]:
    """Return the formulas of both sides of a loss that depends on p_t alone, weighted by alpha_t.

    p_t at logit x of the label's class is p_t at -x of another class, so that one formula says both.

    Args:
        side: the formula of the negatives.
        alpha: weight of the label's class, 1 - alpha for the others; None for no weighting of either.
    """
    positive_weight, negative_weight = (1.0, 1.0) if alpha is None else (alpha, 1.0 - alpha)

    def negative(x: Tensor) -> tuple[Tensor, Tensor]:
        loss, slope = side(x)
        return loss.mul_(negative_weight), slope.mul_(negative_weight)

    def positive(x: Tensor, quality: Tensor | None) -> tuple[Tensor, Tensor]:
        loss, slope = side(-x)
        return loss * positive_weight, -slope * positive_weight

    return negative, positive


class _SigmoidLoss(torch.autograd.Function):
    """Losses by anchor, with the gradient worked out in the same pass over the logits."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, quality: Tensor | None, negative: Negative, positive: Positive
    ) -> Tensor:
        num_classes = logits.shape[-1]
        rows, labels = logits.reshape(-1, num_classes), labels.reshape(-1)
        dtype = torch.promote_types(logits.dtype, torch.float32)
        quality = None if quality is None else quality.reshape(-1).to(dtype)
        losses = torch.empty(len(rows), dtype=dtype, device=logits.device)
        gradient = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        # on an accelerator each launch costs more than the memory that chunks would save
        step = max(1, _CHUNK // max(num_classes, 1)) if logits.device.type == "cpu" else max(len(rows), 1)
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            qualities = None if quality is None else quality[part]
            loss, slope = _values_and_slopes(rows[part].to(dtype), labels[part], qualities, negative, positive)
            losses[part] = loss
            if gradient is not None:
                gradient[part] = slope
        if gradient is not None:
            ctx.save_for_backward(gradient)
        ctx.shape = logits.shape
        return losses.reshape(ctx.shape[:-1])

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None, None, None]:  # type: ignore[override]
        if torch.is_grad_enabled():  # once_differentiable stays silent where upstream is a constant
            raise RuntimeError("this loss can be differentiated once only: create_graph=True is not supported")
        (gradient,) = ctx.saved_tensors
        # the product is rounded after it is made: a loss scale of 65536 is infinite in float16
        scaled = (gradient * upstream.reshape(-1, 1)).to(gradient.dtype)
        return scaled.reshape(ctx.shape), None, None, None, None


def _values_and_slopes(
    rows: Tensor, labels: Tensor, quality: Tensor | None, negative: Negative, positive: Positive
) -> tuple[Tensor, Tensor]:
    """Return losses ``[M]`` and their derivatives ``[M, K]``."""
    loss, slope = negative(rows)  # every class of every row as if it were background
    labelled = torch.nonzero(labels >= 0).flatten()
    classes = labels[labelled]
    own = positive(rows[labelled, classes], None if quality is None else quality[labelled])
    loss[labelled, classes], slope[labelled, classes] = own
    ignored = torch.nonzero(labels == IGNORED).flatten()
    loss.index_fill_(0, ignored, 0.0)
    slope.index_fill_(0, ignored, 0.0)
    return loss.sum(-1), slope
