"""Average precision as COCO takes it: the mean, at 101 recalls, of the best precision at that recall or a higher one."""

from __future__ import annotations

import numpy as np

from dettoolkit.evaluation.analysis.matching import MatchedDetections

RECALLS = np.linspace(0.0, 1.0, 101)


def average_precision(
    scores: np.ndarray, is_true_positive: np.ndarray, num_truth: float, weights: np.ndarray | None = None
) -> float:
    """Return the average precision of the detections of one class at one IoU threshold, in 0..1.

    Equal to pycocotools' but for its 2e-16 in the denominator of precision, which lowers each by one part in 10^16.

    Args:
        scores: ``[M]``; those that are neither right nor wrong are left out, or weigh nothing.
        is_true_positive: ``[M]`` bool; where scores are equal, the order given decides.
        num_truth: ground-truth boxes that count, under the same weights.
        weights: ``[M]``, how often each detection counts (bootstrap); once each when left out. A detection that counts twice is
            there twice in a row.

    Returns:
        NaN without ground truth.
    """
    if num_truth <= 0:
        return float("nan")
    order = np.argsort(-np.asarray(scores), kind="stable")
    right = np.asarray(is_true_positive, dtype=bool)[order]
    counts = np.ones(len(order)) if weights is None else np.asarray(weights, dtype=np.float64)[order]
    true_positives, so_far = np.cumsum(counts * right), np.cumsum(counts)
    precision = true_positives / np.where(so_far > 0, so_far, 1.0)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]  # the best at this recall or a higher one
    reached = np.searchsorted(true_positives / num_truth, RECALLS)
    return float(np.append(envelope, 0.0)[reached].mean())


def average_precisions(matched: MatchedDetections) -> np.ndarray:
    """Return ``[T, K]`` average precisions, by IoU threshold and class; NaN for a class without ground truth.

    Their mean without the NaN is COCO's AP, that of the first row, at an IoU of 0.5, its AP50.
    """
    num_thresholds, num_classes = len(matched.iou_thresholds), matched.num_truth.shape[1]
    table = np.full((num_thresholds, num_classes), np.nan)
    right, counted = matched.is_true_positive, ~matched.ignored
    for label in range(num_classes):
        of_class = np.flatnonzero(matched.label == label)
        num_truth = int(matched.num_truth[:, label].sum())
        for threshold in range(num_thresholds):
            rows = of_class[counted[threshold, of_class]]
            table[threshold, label] = average_precision(matched.score[rows], right[threshold, rows], num_truth)
    return table
