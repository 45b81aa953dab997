"""What the anchors of a detector can do for the objects of a data set, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dettoolkit.diagnosis.anchors.boxes import TransformedBoxes
from dettoolkit.diagnosis.anchors.matching import Matching, match_images
from dettoolkit.diagnosis.anchors.overlap import best_overlaps, padded
from dettoolkit.diagnosis.anchors.parts import AnchorParts

THRESHOLDS = (0.4, 0.5, 0.7)
_SMALL, _MEDIUM = 32.0**2, 96.0**2  # COCO's areas, square pixels of the original image
_MOST_MATCHED = 500  # images; of large ones the matcher takes some 20 ms each


@dataclass(frozen=True)
class GroupRecall:
    """The best possible recall of a group of objects.

    Args:
        name: ``all``, ``small``, ``medium``, ``large``, or the name of a class.
        count: objects in the group.
        recall: share of them that some anchor overlaps by each of ``THRESHOLDS``; empty where there are no objects.
        forced: share of them that no anchor overlaps by the matcher's threshold.
    """

    name: str
    count: int
    recall: tuple[float, ...]
    forced: float


@dataclass(frozen=True)
class Examination:
    """The numbers of the anchor doctor.

    Args:
        strides: of each level, pixels.
        positive_from: the IoU from which an anchor is positive.
        num_images: images whose boxes were looked at.
        overall: all objects.
        by_size: small, medium and large ones, by the area that the annotation file gives.
        by_class: each class that has objects.
        objects: the objects themselves, without crowd regions.
        iou: ``[G]`` float32: the largest IoU of each object with any anchor.
        matching: what the matcher makes of a part of the images.
    """

    strides: tuple[int, ...]
    positive_from: float
    num_images: int
    overall: GroupRecall
    by_size: tuple[GroupRecall, ...]
    by_class: tuple[GroupRecall, ...]
    objects: TransformedBoxes
    iou: Tensor
    matching: Matching

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""

        def row(group: GroupRecall) -> dict[str, Any]:
            recall = {str(threshold): value for threshold, value in zip(THRESHOLDS, group.recall, strict=False)}
            return {"name": group.name, "count": group.count, "recall": recall, "forced": group.forced}

        matching = self.matching
        return {
            "positive_from": self.positive_from,
            "num_images": self.num_images,
            "overall": row(self.overall),
            "by_size": [row(group) for group in self.by_size],
            "by_class": [row(group) for group in self.by_class],
            "matched": {
                "num_images": matching.num_images,
                "num_objects": matching.num_objects,
                "objects_without_anchor": len(matching.without_anchor),
                "strides": list(self.strides),
                "share_of_positives": matching.share_by_level,
                "positives_an_image": _mean(matching.positives.sum(1)),
                "anchors_an_image": _mean(matching.anchors),
            },
        }


def examine(found: TransformedBoxes, parts: AnchorParts, class_names: Sequence[str]) -> Examination:
    """Compare all objects with the anchors of their images, and run the matcher on a part of the images.

    Args:
        found: the boxes, crowd regions included.
        parts: of the detector.
        class_names: of the data set.
    """
    objects = found.objects()
    iou = best_overlaps(objects.boxes, padded(objects.sizes, parts.divisibility)[objects.images], parts.anchors).iou
    small, large = objects.areas < _SMALL, objects.areas >= _MEDIUM
    by_size = {"small": small, "medium": ~small & ~large, "large": large}
    by_class = {name: objects.labels == label for label, name in enumerate(class_names)}

    def group(name: str, rows: Tensor) -> GroupRecall:
        return group_recall(name, iou[rows], parts.positive_from)

    return Examination(
        tuple(parts.anchors.strides),
        parts.positive_from,
        len(found.sizes),
        group("all", torch.ones(len(iou), dtype=torch.bool)),
        tuple(group(name, rows) for name, rows in by_size.items()),
        tuple(group(name, rows) for name, rows in by_class.items() if bool(rows.any())),
        objects,
        iou,
        match_images(found, parts, _MOST_MATCHED),
    )


def group_recall(name: str, iou: Tensor, positive_from: float) -> GroupRecall:
    """Return the recall of objects whose largest IoU with any anchor is ``iou [g]``."""
    if not len(iou):
        return GroupRecall(name, 0, (), 0.0)
    recall = tuple((iou >= threshold).double().mean().item() for threshold in THRESHOLDS)
    return GroupRecall(name, len(iou), recall, (iou < positive_from).double().mean().item())


def _mean(counts: Tensor) -> float:
    return counts.double().mean().item() if len(counts) else 0.0
