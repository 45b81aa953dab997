"""Which class is taken for which, and for background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dettoolkit.evaluation.analysis.matching import box_overlaps
from dettoolkit.structures import EvaluatedImage


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often each class was taken for each, K classes and background.

    Args:
        counts: ``[K + 1, K + 1]`` int64; rows: what is there, columns: what is found. The last row has the detections where
            nothing is, the last column the objects that are not found; their corner is 0, since nobody counts background.
        score_thresholds: ``[K]``, from which score on detections of each class were counted.
        iou_threshold: from which IoU on a detection is at the place of an object.
    """

    counts: np.ndarray
    score_thresholds: tuple[float, ...]
    iou_threshold: float

    @property
    def by_truth(self) -> np.ndarray:
        """``[K + 1, K + 1]`` shares of each row, so that the diagonal has recalls; NaN in rows without anything."""
        return _shares(self.counts, axis=1)

    @property
    def by_detection(self) -> np.ndarray:
        """``[K + 1, K + 1]`` shares of each column, so that the diagonal has precisions; NaN in columns without anything."""
        return _shares(self.counts, axis=0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "counts": self.counts.tolist(),
            "score_thresholds": list(self.score_thresholds),
            "iou_threshold": self.iou_threshold,
        }


def confusion_matrix(
    images: Sequence[EvaluatedImage], score_thresholds: Sequence[float], iou_threshold: float = 0.5
) -> ConfusionMatrix:
    """Pair detections with objects by their place alone, and count the classes of each pair.

    In each image the pair of the largest IoU is taken first, then the largest of what is left, down to ``iou_threshold``. Of
    equal ones a pair of one class comes first, then the higher score, then what stands first. A detection inside a crowd region
    of its class, by at least ``iou_threshold`` of its own area, is not counted where it has no object.

    Args:
        images: I images.
        score_thresholds: ``[K]``, the lowest score of each class that counts.
        iou_threshold: from which IoU on a detection is at the place of an object.
    """
    num_classes = len(score_thresholds)
    thresholds = np.asarray(score_thresholds, dtype=np.float32)
    counts = np.zeros((num_classes + 1, num_classes + 1), dtype=np.int64)
    for image in images:
        pairs = _pairs_of_image(image, thresholds, iou_threshold, num_classes)
        np.add.at(counts, (pairs[:, 0], pairs[:, 1]), 1)
    return ConfusionMatrix(counts, tuple(float(value) for value in score_thresholds), iou_threshold)


def _pairs_of_image(image: EvaluatedImage, thresholds: np.ndarray, iou_threshold: float, background: int) -> np.ndarray:
    """Return ``[P, 2]``: what is there and what is found."""
    found, truth = image.detections, image.ground_truth
    labels, scores = found.labels.numpy(), found.scores.float().numpy()
    kept = np.flatnonzero(scores >= thresholds[labels])
    labels, scores, boxes = labels[kept], scores[kept], found.boxes.double().numpy()[kept]
    ignore, truth_labels = truth.ignore.numpy(), truth.labels.numpy()
    overlaps = box_overlaps(boxes, truth.boxes.double().numpy(), ignore)
    same = labels[:, None] == truth_labels
    in_crowd = (overlaps * (same & ignore)).max(axis=1, initial=0.0) >= iou_threshold
    taken = _one_to_one(np.where(ignore, 0.0, overlaps), same, scores, iou_threshold)
    alone = np.setdiff1d(np.flatnonzero(~in_crowd), taken[:, 0])
    missed = np.setdiff1d(np.flatnonzero(~ignore), taken[:, 1])
    return np.concatenate(
        [
            np.stack([truth_labels[taken[:, 1]], labels[taken[:, 0]]], axis=1),
            np.stack([np.full(len(alone), background), labels[alone]], axis=1),
            np.stack([truth_labels[missed], np.full(len(missed), background)], axis=1),
        ]
    )


def _one_to_one(overlaps: np.ndarray, same: np.ndarray, scores: np.ndarray, least: float) -> np.ndarray:
    """Return ``[P, 2]`` int64, detection and object of each pair."""
    rows, columns = np.nonzero(overlaps >= least)
    order = np.lexsort((columns, rows, -scores[rows], ~same[rows, columns], -overlaps[rows, columns]))
    pairs: list[tuple[int, int]] = []
    used: tuple[set[int], set[int]] = (set(), set())
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used[0] and column not in used[1]:
            pairs.append((row, column))
            used[0].add(row)
            used[1].add(column)
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _shares(counts: np.ndarray, axis: int) -> np.ndarray:
    sums = counts.sum(axis=axis, keepdims=True)
    return np.divide(counts, sums, out=np.full(counts.shape, np.nan), where=sums > 0)
