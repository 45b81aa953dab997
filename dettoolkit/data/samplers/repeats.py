"""How often each image comes in an epoch whose images do not come once each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def items_by_group(groups: NDArray[np.int64], num_groups: int, weights: NDArray[np.float64] | None) -> list[int]:
    """Return how many items of each group an epoch has: the weights of its images together, rounded.

    Args:
        groups: ``[len]``, the group of each image.
        num_groups: how many there are.
        weights: ``[len]``, how often each image comes; None: once.
    """
    if weights is None:
        return np.bincount(groups, minlength=num_groups).tolist()
    sums = np.bincount(groups, weights, minlength=num_groups)
    return [max(1, round(total)) if total > 0 else 0 for total in sums.tolist()]


def drawn(weights: NDArray[np.float64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return ``count`` indices, each as often as its share of the weights says: that number rounded up or down at random.

    Systematic sampling (Madow, 1949) in a random order: of each index the expected number is exact, and so is the number of
    all. Drawing each for itself would give an epoch another length each time.

    Args:
        weights: ``[len]``, 0 or more, with a positive sum.
        count: how many.
        random: what draws.
    """
    order = random.permutation(len(weights))
    ends = np.cumsum(weights[order])
    ends = np.minimum(ends * (count / ends[-1]), count)
    ends[-1] = count  # whatever rounding made of it
    marks = np.floor(ends + random.random()).astype(np.int64)
    repeats = np.diff(marks, prepend=0)
    return np.repeat(order, repeats)
