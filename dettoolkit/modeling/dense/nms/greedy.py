"""Greedy non-maximum suppression, by torchvision."""

from __future__ import annotations

from torch import Tensor
from torchvision import ops

from dettoolkit.registry import NMS


@NMS.register()
class BatchedNMS:
    """A box gives way to a better one of its own class that it overlaps by more than the threshold.

    Args:
        iou_threshold: 0.5 in the paper.

    Raises:
        ValueError: a threshold outside of 0..1.
    """

    def __init__(self, iou_threshold: float = 0.5) -> None:
        self.iou_threshold = _checked(iou_threshold)

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the indices to keep, best first, of ``boxes [D, 4]``, ``scores [D]`` and ``labels [D]``."""
        return ops.batched_nms(boxes, scores, labels, self.iou_threshold)


@NMS.register()
class ClassAgnosticNMS:
    """A box gives way to any better one that it overlaps by more than the threshold.

    Args:
        iou_threshold: overlap from which two boxes are the same thing.

    Raises:
        ValueError: a threshold outside of 0..1.
    """

    def __init__(self, iou_threshold: float = 0.5) -> None:
        self.iou_threshold = _checked(iou_threshold)

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the indices to keep, best first, of ``boxes [D, 4]`` and ``scores [D]``."""
        return ops.nms(boxes, scores, self.iou_threshold)


def _checked(iou_threshold: float) -> float:
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f"iou_threshold expects a number in 0..1, got {iou_threshold}")
    return iou_threshold
