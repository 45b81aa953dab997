"""One minus a kind of IoU of boxes, pair by pair.

The formulas and their order of operations are those of torchvision's ``generalized_box_iou_loss``, ``distance_box_iou_loss``
and ``complete_box_iou_loss``, to which they are equal. These pick the pairs that meet by a mask, and a GPU has to be waited for
until their number is known; here the others are computed, too, and left out.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_EPS = 1e-7  # keeps what is divided by from zero


def giou_loss(boxes: Tensor, others: Tensor) -> Tensor:
    """Return ``1 - GIoU`` (Rezatofighi et al., CVPR 2019) ``[P]`` of ``boxes [P, 4]`` and ``others [P, 4]``, xyxy."""
    iou, union = _iou_and_union(boxes, others)
    width, height = _enclosing_sides(boxes, others)
    area = width * height
    return 1 - (iou - (area - union) / (area + _EPS))


def diou_loss(boxes: Tensor, others: Tensor) -> Tensor:
    """Return ``1 - DIoU`` (Zheng et al., AAAI 2020) ``[P]`` of ``boxes [P, 4]`` and ``others [P, 4]``, xyxy."""
    return 1 - _iou_and_union(boxes, others)[0] + _distance(boxes, others)


def ciou_loss(boxes: Tensor, others: Tensor) -> Tensor:
    """Return ``1 - CIoU`` (Zheng et al., AAAI 2020) ``[P]`` of ``boxes [P, 4]`` and ``others [P, 4]``, xyxy."""
    # a side that is rounded to zero has an aspect ratio without a gradient
    low, high = boxes.split(2, dim=-1)
    smallest = 1e-3 + 1e-6 * low.detach().abs()  # pixels, more than float32 rounds away at any coordinate
    boxes = torch.cat([low, torch.maximum(high, low + smallest)], dim=-1)
    iou, _ = _iou_and_union(boxes, others)
    difference = (4 / math.pi**2) * torch.pow(_angle(others) - _angle(boxes), 2)
    with torch.no_grad():
        factor = difference / (1 - iou + difference + _EPS)
    return 1 - iou + _distance(boxes, others) + factor * difference


def _iou_and_union(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    low, high = torch.maximum(boxes[:, :2], others[:, :2]), torch.minimum(boxes[:, 2:], others[:, 2:])
    width, height = (high - low).unbind(-1)
    intersection = torch.where((high > low).all(-1), width * height, 0.0)
    union = _area(boxes) + _area(others) - intersection
    return intersection / (union + _EPS), union


def _area(boxes: Tensor) -> Tensor:
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x2 - x1) * (y2 - y1)


def _enclosing_sides(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    low, high = torch.minimum(boxes[:, :2], others[:, :2]), torch.maximum(boxes[:, 2:], others[:, 2:])
    width, height = (high - low).unbind(-1)
    return width, height


def _distance(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the squared distance of the centres over the squared diagonal of the enclosing boxes."""
    width, height = _enclosing_sides(boxes, others)
    x, y = ((boxes[:, 2:] + boxes[:, :2]) / 2 - (others[:, :2] + others[:, 2:]) / 2).unbind(-1)
    return (x**2 + y**2) / (width**2 + height**2 + _EPS)


def _angle(boxes: Tensor) -> Tensor:
    """Return the arc tangent of width over height."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.atan((x2 - x1) / (y2 - y1))
