"""The largest overlap that any anchor has with a box, without looking at all anchors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dettoolkit.modeling.anchors import GridAnchors

_CHUNK = 4096  # boxes at a time: some 20 MB for nine anchors a place


@dataclass(frozen=True)
class BestOverlaps:
    """What the best anchor of each box is.

    Args:
        iou: ``[G]`` float32.
        level: ``[G]`` int64, of that anchor; the finest of several.
    """

    iou: Tensor
    level: Tensor


def padded(sizes: Tensor, divisibility: int) -> Tensor:
    """Return ``[N, 2]`` (height, width) as the network gets them: multiples of ``divisibility``, each image by itself."""
    return (sizes + divisibility - 1).div(divisibility, rounding_mode="floor") * divisibility


def map_sizes(size: Sequence[int], strides: Sequence[int]) -> list[tuple[int, int]]:
    """Return (height, width) of each level's map for a padded image of (height, width) ``size``."""
    height, width = size
    return [(-(-height // stride), -(-width // stride)) for stride in strides]


def best_overlaps(boxes: Tensor, sizes: Tensor, anchors: GridAnchors) -> BestOverlaps:
    """Return the largest IoU of each box with any anchor of its image.

    For an anchor of a given shape the overlap with a box does not grow with the distance of their centres along either
    axis. So of all places of a grid the one nearest to the centre of the box is best, and of each level and shape it is
    enough to look at the four places around that centre.

    Args:
        boxes: ``[G, 4]`` float32 xyxy.
        sizes: ``[G, 2]`` int64, (height, width) of the padded image that each box is in.
        anchors: of the detector.
    """
    best, level = torch.zeros(len(boxes)), torch.zeros(len(boxes), dtype=torch.int64)
    if not len(boxes):
        return BestOverlaps(best, level)
    distinct, group = torch.unique(sizes, dim=0, return_inverse=True)
    order = torch.argsort(group, stable=True)
    ends = torch.bincount(group, minlength=len(distinct)).cumsum(0).tolist()
    for size, start, end in zip(distinct.tolist(), [0, *ends], ends, strict=False):
        for rows in order[start:end].split(_CHUNK):
            best[rows], level[rows] = _of_one_size(boxes[rows], map_sizes(size, anchors.strides), anchors)
    return BestOverlaps(best, level)


def _of_one_size(boxes: Tensor, maps: Sequence[tuple[int, int]], anchors: GridAnchors) -> tuple[Tensor, Tensor]:
    levels = zip(maps, anchors.steps(maps), anchors.shapes, strict=True)
    by_level = torch.stack([_of_level(boxes, size, steps, anchors.offset, shapes) for size, steps, shapes in levels])
    iou, level = by_level.max(dim=0)  # the first of equals
    return iou, level


def _of_level(boxes: Tensor, size: tuple[int, int], steps: tuple[int, int], offset: float, shapes: Tensor) -> Tensor:
    """Return ``[G]``: the best IoU with anchors of one level, computed in the order of operations of ``box_iou``."""
    x1, y1, x2, y2 = (column[:, None, None] for column in boxes.unbind(1))  # [G, 1, 1]
    left, right = _along(x1, x2, size[1], steps[1], offset, shapes[:, 0], shapes[:, 2])  # [G, A, 2]
    top, bottom = _along(y1, y2, size[0], steps[0], offset, shapes[:, 1], shapes[:, 3])
    widths = (torch.minimum(x2, right) - torch.maximum(x1, left)).clamp(min=0)[..., :, None]
    heights = (torch.minimum(y2, bottom) - torch.maximum(y1, top)).clamp(min=0)[..., None, :]
    overlap = widths * heights  # [G, A, 2, 2]
    areas = (right - left)[..., :, None] * (bottom - top)[..., None, :]
    area = ((x2 - x1) * (y2 - y1))[..., None]
    return (overlap / (area + areas - overlap)).flatten(1).amax(1)


def _along(
    low: Tensor, high: Tensor, length: int, step: int, offset: float, start: Tensor, end: Tensor
) -> tuple[Tensor, Tensor]:
    """Return where the two anchors nearest to the middle of the boxes begin and end, along one axis: ``[G, A, 2]`` each."""
    middle = (low + high) / 2 - ((start + end) / 2)[None, :, None]
    first = (middle / step - offset).floor()
    places = (torch.cat([first, first + 1], dim=-1).clamp(0, length - 1) + offset) * step
    return places + start[None, :, None], places + end[None, :, None]
