"""Boxes as shifts and log scales of anchors."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dettoolkit.registry import BOX_CODERS


@BOX_CODERS.register()
class DeltaXYWHCoder:
    """The parametrisation of R-CNN (Girshick et al., 2014, appendix C).

    ``dx = wx (x - xa) / wa``, ``dy = wy (y - ya) / ha``, ``dw = ww log(w / wa)``, ``dh = wh log(h / ha)`` for centres
    (x, y) and sides (w, h) of box and anchor.

    Args:
        weights: (wx, wy, ww, wh).
        max_ratio: decoded sides are at most this many times the anchor's, so that an early network cannot overflow;
            1000 / 16 as in Detectron2 and torchvision.

    Raises:
        ValueError: a weight or ``max_ratio`` that is not positive.
    """

    def __init__(self, weights: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0), max_ratio: float = 62.5) -> None:
        if min(weights) <= 0 or max_ratio <= 0:
            raise ValueError(f"weights and max_ratio expect positive numbers, got {list(weights)} and {max_ratio}")
        self.weights = tuple(weights)
        self.max_log = math.log(max_ratio)

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Return the deltas ``[..., 4]`` that turn ``anchors [..., 4]`` into ``boxes [..., 4]`` (sides > 0)."""
        centers, sides = _centers_and_sides(boxes)
        anchor_centers, anchor_sides = _centers_and_sides(anchors)
        deltas = torch.cat([(centers - anchor_centers) / anchor_sides, torch.log(sides / anchor_sides)], dim=-1)
        return _by_column(torch.mul, deltas, self.weights)

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Return the boxes ``[..., 4]`` xyxy that ``deltas [..., 4]`` make of ``anchors [..., 4]``."""
        deltas = _by_column(torch.div, deltas, self.weights)
        anchor_centers, anchor_sides = _centers_and_sides(anchors)
        centers = deltas[..., :2] * anchor_sides + anchor_centers
        halves = deltas[..., 2:].clamp(max=self.max_log).exp() * anchor_sides / 2
        return torch.cat([centers - halves, centers + halves], dim=-1)


def _by_column(operation: Callable[[Tensor, float], Tensor], deltas: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Return the operation of each column with its weight; a tensor of the weights would be a copy that a GPU waits for."""
    if all(weight == 1 for weight in weights):
        return deltas
    columns = zip(deltas.unbind(-1), weights, strict=True)
    return torch.stack([operation(column, weight) for column, weight in columns], dim=-1)


def _centers_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    low, high = boxes[..., :2], boxes[..., 2:]
    sides = high - low
    return low + sides / 2, sides
