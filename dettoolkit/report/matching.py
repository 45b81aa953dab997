"""Which detections are right: the matching behind the counts of missed and false boxes in the gallery."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dettoolkit.structures import Annotations, Detections

FALSE = -1
IGNORED = -2


@dataclass(frozen=True)
class Outcome:
    """How the detections of one image fare.

    Each detection, the highest score first, takes the free ground-truth box of its class with the highest IoU. So the
    outcome of a detection does not depend on those below it, and holds for every score threshold.

    Args:
        matched: ``[D]``: index of the ground-truth box, ``FALSE`` (-1), or ``IGNORED`` (-2) in an ignore region.
        overlaps: ``[D]``: highest IoU with a ground-truth box of the class, 0 if there is none.
        found_from: ``[G]``: the score of the detection that found the box; None: missed, or an ignore region.
    """

    matched: list[int]
    overlaps: list[float]
    found_from: list[float | None]

    def num_errors(self, ground_truth: Annotations, detections: Detections, score_threshold: float) -> int:
        """Return how many boxes are missed plus how many detections are false from a score on."""
        scores = detections.scores.tolist()
        false = sum(match == FALSE and score >= score_threshold for match, score in zip(self.matched, scores, strict=True))
        missed = sum(
            not ignore and (score is None or score < score_threshold)
            for ignore, score in zip(ground_truth.ignore.tolist(), self.found_from, strict=True)
        )
        return false + missed


def match_detections(ground_truth: Annotations, detections: Detections, iou_threshold: float = 0.5) -> Outcome:
    """Match detections with ground truth as COCO does at one IoU threshold.

    A detection that matches no box and lies in an ignore region of its class, by intersection over its own area, counts as
    nothing.
    """
    from torchvision.ops import box_iou

    matched, overlaps = [FALSE] * len(detections), [0.0] * len(detections)
    found_from: list[float | None] = [None] * len(ground_truth)
    same_class = detections.labels[:, None] == ground_truth.labels[None, :]
    iou = box_iou(detections.boxes, ground_truth.boxes) * (same_class & ~ground_truth.ignore)
    in_region = _covered(detections.boxes, ground_truth.boxes) * (same_class & ground_truth.ignore)
    free = torch.ones(len(ground_truth), dtype=torch.bool)
    for index in detections.scores.argsort(descending=True, stable=True).tolist() if len(ground_truth) else ():
        overlaps[index] = float(iou[index].max())
        best = int((iou[index] * free).argmax())
        if free[best] and iou[index, best] >= iou_threshold:
            matched[index], free[best] = best, False
            found_from[best] = float(detections.scores[index])
        elif in_region[index].max() >= iou_threshold:
            matched[index] = IGNORED
    return Outcome(matched, overlaps, found_from)


def _covered(boxes: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """Return ``[D, G]``: the share of each box's area that lies in each region."""
    lower = torch.maximum(boxes[:, None, :2], regions[None, :, :2])
    upper = torch.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)
    return (upper - lower).clamp(min=0).prod(dim=2) / area.clamp(min=1e-6)[:, None]
