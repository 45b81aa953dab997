"""PyTorch for torch.compile: in one piece and without changes in place, for the compiler to fuse."""

from __future__ import annotations

import torch
from torch import Tensor

from dettoolkit.modeling.losses.kernels.formula import Work
from dettoolkit.structures import IGNORED


def losses_and_gradient(work: Work) -> tuple[Tensor, Tensor | None]:
    """Return the losses and, if it is wanted, their gradient ``[N, R, K]`` in the dtype of the logits.

    A label that is no class makes the loss NaN: a compiled program does not look at labels.
    """
    rows, labels, num_classes = work.logits.to(work.dtype), work.labels, work.logits.shape[-1]
    own = labels[..., None] == torch.arange(num_classes, device=labels.device)
    ignored = labels == IGNORED
    loss, slope = work.formula.negative(rows)
    if work.alpha is not None:
        loss, slope = loss * (1 - work.alpha), slope * (1 - work.alpha)
    classes = labels.clamp(0, num_classes - 1)[..., None]
    own_loss, own_slope = _of_one_class(work, rows.gather(-1, classes)[..., 0], classes[..., 0])
    # that class is left out of the sum, not subtracted from it: that would lose digits
    losses = torch.where(own, 0.0, loss).sum(-1) + torch.where(labels >= 0, own_loss, 0.0)
    losses = torch.where(labels < num_classes, losses, torch.nan)
    if work.weights is not None:
        losses = losses * work.weights
    losses = torch.where(ignored, 0.0, losses)
    total = losses if work.by_anchor else losses.sum()
    return total, _gradient(work, slope, classes, own_slope) if work.with_gradient else None


def _of_one_class(work: Work, x: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return losses and slopes ``[N, R]`` of logits ``[N, R]``: of the label's class, or of any where there is no label.

    Args:
        work: the whole.
        x: the logits of the classes ``classes [N, R]``.
        classes: the label, or any.
    """
    own, other = work.formula.positive(x, work.quality), work.formula.negative(x)
    is_positive = work.labels >= 0
    loss, slope = (torch.where(is_positive, *pair) for pair in zip(own, other, strict=True))
    if work.alpha is None:
        return loss, slope
    weight = torch.where(is_positive, work.alpha[classes], 1 - work.alpha[classes])
    return loss * weight, slope * weight


def _gradient(work: Work, slope: Tensor, classes: Tensor, own_slope: Tensor) -> Tensor:
    """Return ``slope [N, R, K]`` with ``own_slope [N, R]`` at one class of each row, weighted, in the dtype of the logits.

    The scatter is a pass of its own over one output a row. It also makes the compiler keep the gradient instead of the
    logits, from which it would work everything out again in the backward pass.
    """
    factor = torch.full_like(own_slope, work.gradient_scale) if work.weights is None else work.weights * work.gradient_scale
    ignored = work.labels == IGNORED
    slope = torch.where(ignored[..., None], 0.0, slope * factor[..., None]).to(work.logits.dtype)
    own_slope = torch.where(ignored, 0.0, own_slope * factor).to(work.logits.dtype)
    return slope.scatter(-1, classes, own_slope[..., None])
