"""What the anchor doctor says in one line where a training starts."""

from __future__ import annotations

from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.diagnosis.anchors.boxes import sampled_images, transformed_boxes
from dettoolkit.diagnosis.anchors.examination import group_recall
from dettoolkit.diagnosis.anchors.overlap import best_overlaps, padded
from dettoolkit.diagnosis.anchors.parts import AnchorParts

_MOST_BOXES, _MOST_IMAGES = 20_000, 300  # under a second


def anchors_in_one_line(model: nn.Module, dataset: DetectionDataset, cfg: CfgNode) -> str:
    """Return how many objects the anchors can reach, computed from a part of the images, none of which is decoded.

    Args:
        model: a detector.
        dataset: of the training.
        cfg: of the training.

    Raises:
        ConfigError: the anchors are none that can be examined.
    """
    parts = AnchorParts.of_model(model)
    indices = sampled_images(dataset.records.num_boxes, _MOST_BOXES, cfg.SEED, _MOST_IMAGES)
    objects = transformed_boxes(cfg, dataset.records, indices).objects()
    iou = best_overlaps(objects.boxes, padded(objects.sizes, parts.divisibility)[objects.images], parts.anchors).iou
    if not len(iou):
        return f"anchors: no objects in {len(indices)} training images to compare them with"
    labels = {name: objects.labels == label for label, name in enumerate(dataset.info.class_names)}
    classes = [group_recall(name, iou[rows], parts.positive_from) for name, rows in labels.items() if bool(rows.any())]
    overall, weakest = group_recall("all", iou, parts.positive_from), max(classes, key=lambda group: group.forced)
    return (
        f"anchors: {1 - overall.forced:.1%} of {overall.count:,} objects can be matched at IoU {parts.positive_from:g} "
        f"(weakest class {weakest.name}: {1 - weakest.forced:.1%}); `dettoolkit check-anchors` says more"
    )
