"""How often which logit occurs: all that a loss of single outputs depends on, in a table of fixed size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dettoolkit.structures import IGNORED

NEGATIVES, POSITIVES = 0, 1  # the first index of every table
BINS_PER_UNIT = 32  # a loss in the middle of a bin is off by (gamma + 1) / 64 at most, sums over many bins by 0.1 %
LARGEST_LOGIT = 32  # what lies beyond, p below 1e-14, is counted in the last bin
NUM_BINS = 2 * LARGEST_LOGIT * BINS_PER_UNIT

_CHUNK = {"cpu": 1 << 18, "other": 1 << 24}  # logits worked on at a time: what fits a processor's cache, or a device's memory


def bin_centers() -> Tensor:
    """Return the logit in the middle of each bin, ``[B]`` float64, ascending."""
    return (torch.arange(NUM_BINS, dtype=torch.float64) + 0.5) / BINS_PER_UNIT - LARGEST_LOGIT


def count_logits(logits: Tensor, labels: Tensor, by_class: bool = True) -> Tensor:
    """Count outputs by logit.

    An output is one class at one anchor. It is a positive where the class is the anchor's label, and a negative everywhere
    else, also at anchors of other classes; the outputs of ignored anchors are not counted.

    Args:
        logits: ``[..., K]`` float, none of them NaN.
        labels: ``[...]`` int64: 0..K-1, -1 for background, -2 for ignored.
        by_class: whether to keep the classes apart.

    Returns:
        ``[2, K, B]`` int64 on the device of the logits, ``[2, 1, B]`` with the classes together: negatives and positives in
        each bin.
    """
    num_classes = logits.shape[-1]
    rows, labels = logits.reshape(-1, num_classes), labels.reshape(-1)
    groups = num_classes if by_class else 1
    counts = torch.zeros(2, groups * NUM_BINS, dtype=torch.int64, device=logits.device)
    step = max(1, _CHUNK["cpu" if logits.device.type == "cpu" else "other"] // max(1, num_classes))
    for start in range(0, len(rows), step):
        counts[NEGATIVES] += _count(_bins(rows[start : start + step], by_class), groups)
    # taking away the few that do not belong is cheaper than picking the many that do
    counts[NEGATIVES] -= _count(_bins(rows[labels == IGNORED], by_class), groups)
    positive = torch.nonzero(labels >= 0).flatten()
    own = _count(_bins(rows[positive], by_class).gather(1, labels[positive][:, None]), groups)
    counts[NEGATIVES] -= own
    counts[POSITIVES] += own
    return counts.reshape(2, groups, NUM_BINS)


def count_logits_by_level(logits: Sequence[Tensor], labels: Sequence[Tensor]) -> Tensor:
    """Return ``[2, L, K, B]``: :func:`count_logits` of each level."""
    return torch.stack([count_logits(*level) for level in zip(logits, labels, strict=True)], dim=1)


def _bins(rows: Tensor, by_class: bool) -> Tensor:
    """Return the bin of each logit ``[M, K]``, those of class k from ``k * B`` on if classes are kept apart, int64."""
    scaled = torch.add(LARGEST_LOGIT * BINS_PER_UNIT, rows.float(), alpha=BINS_PER_UNIT)
    bins = scaled.clamp_(0, NUM_BINS - 1).long()
    return bins.add_(torch.arange(rows.shape[1], device=rows.device) * NUM_BINS) if by_class else bins


def _count(bins: Tensor, groups: int) -> Tensor:
    return torch.bincount(bins.flatten(), minlength=groups * NUM_BINS)
