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
    is_positive, ignored = labels >= 0, labels == IGNORED
    classes = labels.clamp(0, num_classes - 1)[..., None]
    x = rows.gather(-1, classes)[..., 0]  # [N, R]: the logit of the label's class
    loss, slope = work.formula.negative(rows)
    own_loss, own_slope = work.formula.positive(x, work.quality)
    # the label's class is left out of the sum, not subtracted from it: that would lose digits
    losses = torch.where(own | ignored[..., None], 0.0, loss).sum(-1) + torch.where(is_positive, own_loss, 0.0)
    losses = torch.where(labels < num_classes, losses, torch.nan)
    if work.weights is not None:
        losses = torch.where(ignored, 0.0, losses * work.weights)
    total = losses if work.by_anchor else losses.sum()
    return total, _gradient(work, slope, classes, own_slope) if work.with_gradient else None


def _gradient(work: Work, slope: Tensor, classes: Tensor, own_slope: Tensor) -> Tensor:
    """Return ``slope [N, R, K]`` with ``own_slope [N, R]`` at the label's class, weighted.

    The scatter is a pass of its own over one output a row. It also makes the compiler keep the gradient instead of the
    logits, from which it would work everything out again in the backward pass.
    """
    labels, ignored = work.labels, work.labels == IGNORED
    own_slope = torch.where(labels >= 0, own_slope, slope.gather(-1, classes)[..., 0])
    factor = work.gradient_scale if work.weights is None else (work.weights * work.gradient_scale)
    if isinstance(factor, Tensor):
        slope, own_slope = slope * factor[..., None], own_slope * factor
    elif factor != 1:
        slope, own_slope = slope * factor, own_slope * factor
    slope = torch.where(ignored[..., None], 0.0, slope)
    return slope.scatter(-1, classes, torch.where(ignored, 0.0, own_slope)[..., None]).to(work.logits.dtype)
