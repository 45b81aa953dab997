"""PyTorch without a compiler: pieces that fit a cache, worked on in place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from dettoolkit.modeling.losses.kernels.formula import Work
from dettoolkit.structures import IGNORED

_CHUNK = 1 << 18  # elements worked on at a time: the intermediate values stay in the processor's cache
_CHUNK_ON_ACCELERATORS = 1 << 24  # large enough to hide the launches, small enough beside the logits of a whole batch


def losses_and_gradient(work: Work) -> tuple[Tensor, Tensor | None]:
    """Return the losses and, if it is wanted, their gradient ``[N, R, K]`` in the dtype of the logits.

    On accelerators nothing here waits for the device.

    Raises:
        IndexError: a label is no class (on accelerators an assertion of the device fails).
    """
    gradient = torch.empty_like(work.logits) if work.with_gradient else None
    losses = torch.empty(work.labels.shape, dtype=work.dtype, device=work.logits.device)
    of_rows = [None if each is None else each.contiguous() for each in (work.labels, work.weights, work.quality)]
    for logits, labels, weights, quality, results, slopes in _pieces(work.logits, *of_rows, losses, gradient):
        loss, slope = _values_and_slopes(work, logits.to(work.dtype), labels, quality)
        if weights is not None:
            loss, slope = loss.mul_(weights), slope.mul_(weights[:, None])
        _set_ignored(loss, slope, labels == IGNORED)
        results.copy_(loss)
        if slopes is not None:
            slopes.copy_(slope if work.gradient_scale == 1 else slope.mul_(work.gradient_scale))
    return losses if work.by_anchor else losses.sum(), gradient


def multiply_in_place(gradient: Tensor, factor: Tensor) -> Tensor:
    """Multiply ``gradient [N, R, K]`` with ``factor [N, R, 1]`` or ``[1, 1, 1]``, rounding the product; return the gradient."""
    if factor.numel() == 1 and factor.device.type == "cpu" and factor.item() == 1:  # elsewhere asking would mean waiting
        return gradient
    for rows, factors in _pieces(gradient, factor.expand(*gradient.shape[:2], 1).contiguous()):
        torch.mul(rows, factors, out=rows)
    return gradient


def _pieces(logits: Tensor, *others: Tensor | None) -> Iterator[Any]:
    """Yield views of M rows at a time of ``logits [N, R, K]`` and of tensors ``[N, R, ...]``; None stays None."""
    given = [logits, *others]
    if all(_is_one_run(tensor) for tensor in given if tensor is not None):
        given = [None if tensor is None else tensor.flatten(0, 1)[None] for tensor in given]
    limit = _CHUNK if logits.device.type == "cpu" else _CHUNK_ON_ACCELERATORS
    step = max(1, limit // max(logits.shape[-1], 1))
    images, rows = given[0].shape[:2]  # type: ignore[union-attr]
    for image in range(images):
        for start in range(0, rows, step):
            yield [None if tensor is None else tensor[image, start : start + step] for tensor in given]


def _is_one_run(tensor: Tensor) -> bool:
    """Return whether images follow upon each other as rows do, so that ``[N, R, ...]`` can be seen as ``[N * R, ...]``."""
    return len(tensor) == 1 or tensor.stride(0) == tensor.shape[1] * tensor.stride(1)


def _values_and_slopes(work: Work, rows: Tensor, labels: Tensor, quality: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return losses ``[M]`` and their derivatives ``[M, K]`` of M rows."""
    loss, slope = work.formula.negative(rows)  # every class of every row as if it were background
    # one output of each row, whether it has a label or not: how many have one is known to the device alone
    at, is_positive = (torch.arange(len(rows), device=rows.device), labels.clamp(min=0)), labels >= 0
    own_loss, own_slope = work.formula.positive(rows[at], quality)
    if work.alpha is not None:
        own, others = work.alpha[at[1]], 1 - work.alpha
        loss, slope, own_loss, own_slope = loss.mul_(others), slope.mul_(others), own_loss * own, own_slope * own
    loss[at] = torch.where(is_positive, own_loss, loss[at])
    slope[at] = torch.where(is_positive, own_slope, slope[at])
    return loss.sum(-1), slope


def _set_ignored(loss: Tensor, slope: Tensor, ignored: Tensor) -> None:
    """Make loss ``[M]`` and slope ``[M, K]`` of ignored rows exactly zero, whatever their logits."""
    loss.masked_fill_(ignored, 0.0)
    if slope.device.type == "cpu":  # the few rows that are ignored; elsewhere their number would have to be waited for
        slope.index_fill_(0, torch.nonzero(ignored).flatten(), 0.0)
    else:
        slope.masked_fill_(ignored[:, None], 0.0)
