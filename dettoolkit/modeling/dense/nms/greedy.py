"""Greedy non-maximum suppression, by torchvision."""

from __future__ import annotations

from torch import Tensor
from torchvision import ops

from dettoolkit.registry import NMS
from dettoolkit.structures import Detections


@NMS.register()
class BatchedNMS:
    """A box gives way to a better one of its own class that it overlaps by more than the threshold.

    Args:
        iou_threshold: 0.5 in the paper.

    Raises:
        ValueError: a threshold outside of 0..1.
    """

    def __init__(self, iou_threshold: float = 0.5) -> None:
        self.iou_threshold = checked_threshold(iou_threshold)

    def __call__(self, candidates: Detections, num_views: Tensor | None = None) -> Detections:
        """Return the candidates to keep, best first; ``num_views`` has no effect."""
        kept = ops.batched_nms(candidates.boxes, candidates.scores, candidates.labels, self.iou_threshold)
        return candidates[kept]


@NMS.register()
class ClassAgnosticNMS:
    """A box gives way to any better one that it overlaps by more than the threshold.

    Args:
        iou_threshold: overlap from which two boxes are the same thing.

    Raises:
        ValueError: a threshold outside of 0..1.
    """

    def __init__(self, iou_threshold: float = 0.5) -> None:
        self.iou_threshold = checked_threshold(iou_threshold)

    def __call__(self, candidates: Detections, num_views: Tensor | None = None) -> Detections:
        """Return the candidates to keep, best first; ``num_views`` has no effect."""
        return candidates[ops.nms(candidates.boxes, candidates.scores, self.iou_threshold)]


def checked_threshold(iou_threshold: float) -> float:
    """Return the threshold, or raise ``ValueError`` where it is no overlap."""
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f"iou_threshold expects a number in 0..1, got {iou_threshold}")
    return iou_threshold
