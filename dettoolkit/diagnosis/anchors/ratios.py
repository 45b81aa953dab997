"""Aspect ratios that fit a data set."""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS = 100


def fitting_ratios(boxes: Tensor, count: int) -> list[float]:
    """Return ``count`` aspect ratios (height / width), ascending, rounded to two digits after the point.

    Boxes of one area and the ratios r and s overlap by q / (2 - q) with q = exp(-|log r - log s| / 2). So the ratio of the
    largest overlap is the nearest one on the logarithmic scale: clusters of k-means there are clusters by overlap. The
    middle of a cluster is its median, which few very long objects do not move.

    Args:
        boxes: ``[G, 4]`` xyxy, G >= 1, with sides above 0.
        count: how many ratios; fewer are returned where rounding makes two of them one.
    """
    sides = (boxes[:, 2:] - boxes[:, :2]).double()
    ratios = (sides[:, 1] / sides[:, 0]).log()
    middles = torch.quantile(ratios[:: max(1, len(ratios) // 100_000)], (torch.arange(count).double() + 0.5) / count)
    for _ in range(_ROUNDS):
        nearest = (ratios[:, None] - middles).abs().argmin(1)
        moved = torch.stack([_median(ratios[nearest == index], middles[index]) for index in range(count)])
        if torch.equal(moved, middles):
            break
        middles = moved
    return sorted({round(value, 2) for value in middles.exp().tolist()})


def _median(values: Tensor, otherwise: Tensor) -> Tensor:
    return values.median() if len(values) else otherwise
