"""Which box each anchor overlaps most, without the matrix of all pairs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.ops import box_iou

from dettoolkit.distributed import picks_at_once

_PAIRS = 1 << 18  # worked on at a time: their IoUs stay in the processor's cache
_LONGEST, _SHORTEST = 1 << 14, 1 << 9  # anchors of a chunk: longer ones touch more boxes, shorter ones cost calls


def largest_overlaps(anchors: Tensor, boxes: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return the largest IoU of each anchor with any box, that box, and whether no anchor overlaps some box more.

    The numbers are those of the matrix ``box_iou(boxes, anchors)``, to the last bit: ``matrix.max(0)``, and
    ``((matrix == matrix.amax(1, keepdim=True)) & (matrix > 0)).any(0)``. On the CPU the pairs are formed a chunk of anchors
    at a time, and only with the boxes that touch the frame around the chunk; as neighbours in a grid are neighbours in the
    list, that leaves out most pairs. On accelerators the matrix is one short call.

    Args:
        anchors: ``[R, 4]`` xyxy float32, R >= 1.
        boxes: ``[G, 4]`` xyxy float32, G >= 1.
        counted: ``[G]`` bool, the boxes that count; the result is that of ``boxes[counted]``, with indices into ``boxes``,
            without asking the device how many they are. Where none counts, the IoU is -1. None: all count.

    Returns:
        IoU ``[R]``; index ``[R]`` int64 of the first box that has it (0 where it is 0); ``[R]`` bool: one of the best for
        some box.
    """
    if counted is not None or not picks_at_once(anchors.device):
        return _by_matrix(anchors, boxes, counted)
    chunk = max(_SHORTEST, min(_LONGEST, _PAIRS // len(boxes)))
    best, index = torch.zeros(len(anchors)), torch.zeros(len(anchors), dtype=torch.int64)
    starts = range(0, len(anchors), chunk)
    anchor_columns, box_columns = _columns(anchors), _columns(boxes)
    touches = _touches(anchor_columns, box_columns, chunk)
    best_of_box = torch.zeros(len(starts), len(boxes))  # within each chunk
    for number, start in enumerate(starts):
        rows = torch.nonzero(touches[number]).flatten()
        if len(rows):
            part = slice(start, start + chunk)
            iou = _iou(box_columns[:, rows], anchor_columns[:, part])
            best[part], first = iou.max(0)
            index[part] = torch.where(best[part] > 0, rows[first], 0)
            best_of_box[number, rows] = iou.amax(1)
    return best, index, _among_the_best(anchor_columns, box_columns, best_of_box, chunk)


def _by_matrix(anchors: Tensor, boxes: Tensor, counted: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    iou = box_iou(boxes, anchors)  # [G, R]
    if counted is not None:
        iou = iou.masked_fill(~counted[:, None], -1.0)  # less than any box that counts
    best, index = iou.max(dim=0)
    among = ((iou == iou.amax(dim=1, keepdim=True)) & (iou > 0)).any(dim=0)
    return best, index, among


def _among_the_best(anchors: Tensor, boxes: Tensor, best_of_box: Tensor, chunk: int) -> Tensor:
    """Return ``[R]`` bool, ties included: only chunks that hold a box's best are looked at again."""
    among = torch.zeros(anchors.shape[1], dtype=torch.bool)
    best = best_of_box.amax(0)
    holds = (best_of_box == best) & (best > 0)
    for number in torch.nonzero(holds.any(1)).flatten().tolist():
        rows = torch.nonzero(holds[number]).flatten()
        part = slice(number * chunk, (number + 1) * chunk)
        among[part] = (_iou(boxes[:, rows], anchors[:, part]) == best[rows, None]).any(0)
    return among


def _columns(boxes: Tensor) -> Tensor:
    """Return ``[5, n]``: x1, y1, x2, y2 and the area, each contiguous."""
    x1, y1, x2, y2 = boxes.unbind(1)
    return torch.stack([x1, y1, x2, y2, (x2 - x1) * (y2 - y1)])


def _touches(anchors: Tensor, boxes: Tensor, chunk: int) -> Tensor:
    """Return ``[chunks, G]``: whether a box overlaps the frame around the anchors of a chunk."""
    missing = -anchors.shape[1] % chunk
    low = pad(anchors[:2], (0, missing), value=float("inf")).view(2, -1, chunk).amin(2)[..., None]
    high = pad(anchors[2:4], (0, missing), value=float("-inf")).view(2, -1, chunk).amax(2)[..., None]
    return ((low < boxes[2:4, None]) & (high > boxes[:2, None])).all(0)


def _iou(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Return ``[G, n]`` of columns, by the operations of torchvision's ``box_iou``, in few buffers."""
    boxes = boxes[:, :, None]
    overlap = torch.minimum(boxes[2], anchors[2]).sub_(torch.maximum(boxes[0], anchors[0])).clamp_(min=0)
    height = torch.minimum(boxes[3], anchors[3]).sub_(torch.maximum(boxes[1], anchors[1])).clamp_(min=0)
    overlap.mul_(height)
    union = torch.add(boxes[4], anchors[4], out=height).sub_(overlap)
    return overlap.div_(union)
