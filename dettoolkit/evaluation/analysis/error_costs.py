"""What each type of error costs: the average precision without it, less the one with it, as in TIDE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dettoolkit.evaluation.analysis.average_precision import average_precision
from dettoolkit.evaluation.analysis.error_types import ERROR_TYPES, MISSED, DetectionErrors
from dettoolkit.evaluation.analysis.matching import MatchedDetections


@dataclass(frozen=True)
class ErrorCosts:
    """How often each type of error is, and what it costs; K classes, six types in the order of ``ERROR_TYPES``.

    Costs are in AP at the IoU threshold, 0..1, never below 0, and do not add up: an error that is mended uncovers others.

    Args:
        counts: ``[6, K]`` int64; a detection counts for the class that it was taken for, a missed object for its own.
        aps: ``[K]``, as it is; NaN for a class without ground truth.
        costs: ``[6, K]``, what mending all errors of a type would add to each class's AP; NaN without ground truth.
        ap: mean of ``aps``; None without any ground truth. All costs are 0 then.
        ap_costs: ``[6]``, what mending would add to ``ap``.
        false_positive_cost: what AP would gain if all wrong detections came after all right ones.
        false_negative_cost: what AP would gain if no object were left to find.
        iou_threshold: from which IoU on a detection is right.
        background_iou: up to which IoU a detection overlaps nothing.
    """

    counts: np.ndarray
    aps: np.ndarray
    costs: np.ndarray
    ap: float | None
    ap_costs: np.ndarray
    false_positive_cost: float
    false_negative_cost: float
    iou_threshold: float
    background_iou: float

    def to_dict(self, class_names: tuple[str, ...]) -> dict[str, Any]:
        """Return plain data for JSON, by type and class name; None for NaN."""
        return {
            "iou_threshold": self.iou_threshold,
            "background_iou": self.background_iou,
            "ap": self.ap,
            "types": {
                name: {"count": int(self.counts[kind].sum()), "ap_cost": float(self.ap_costs[kind])}
                for kind, name in enumerate(ERROR_TYPES)
            },
            "false_positive_ap_cost": self.false_positive_cost,
            "false_negative_ap_cost": self.false_negative_cost,
            "classes": {
                class_name: {
                    name: {"count": int(self.counts[kind, label]), "ap_cost": _number(self.costs[kind, label])}
                    for kind, name in enumerate(ERROR_TYPES)
                }
                for label, class_name in enumerate(class_names)
            },
        }


def cost_errors(matched: MatchedDetections, errors: DetectionErrors) -> ErrorCosts:
    """Mend each type of error by itself and see what AP gains.

    A detection of the wrong class or place becomes right where it is the one to find its object, and vanishes otherwise;
    duplicates, background and both vanish; objects that were missed are taken out of the ground truth, since nobody knows with
    which scores they would have been found.

    What differs from TIDE's code (tidecv 1.0.1; counts are equal, costs to rounding but for this): recalls are COCO's, which
    differ from its own in the last bit, and so by one of 101 where a recall is reached exactly; detections of crowds can become
    right there; classes with detections and no ground truth have an AP of 0 there, here none, as in COCO's rules; and a class
    that has lost all its ground truth to mending has an AP of 1 where nothing wrong is left, there 0.

    Args:
        matched: detections; the first of their IoU thresholds is taken.
        errors: of the same detections.
    """
    num_truth = matched.num_truth.sum(axis=0)
    num_classes = len(num_truth)
    columns = _Columns(matched.label, matched.score, matched.is_true_positive[0], ~matched.ignored[0])
    before = columns.aps(num_truth, num_truth > 0)
    mended = [columns.mended(errors, kind).aps(_left(num_truth, errors, kind), num_truth > 0) for kind in range(6)]
    found = np.bincount(matched.label[columns.right], minlength=num_classes)
    keys = [errors.kind * num_classes + errors.label]
    return ErrorCosts(
        counts=np.bincount(keys[0], minlength=6 * num_classes).reshape(6, num_classes),
        aps=before,
        costs=np.maximum(np.stack(mended) - before, 0.0),
        ap=_mean(before),
        ap_costs=np.array([max(_gain(after, before), 0.0) for after in mended]),
        false_positive_cost=_gain(columns.only_right().aps(num_truth, num_truth > 0), before),
        false_negative_cost=_gain(columns.aps(found, num_truth > 0), before),
        iou_threshold=errors.iou_threshold,
        background_iou=errors.background_iou,
    )


@dataclass(frozen=True)
class _Columns:
    """What AP is made of: label, score, whether right and whether it counts, ``[M]`` each."""

    label: np.ndarray
    score: np.ndarray
    right: np.ndarray
    counted: np.ndarray

    def mended(self, errors: DetectionErrors, kind: int) -> _Columns:
        """Return the same without errors of a type; for a missed object there is no detection to mend."""
        wrong = (errors.kind == kind) & (kind != MISSED)
        label, right, counted = self.label.copy(), self.right.copy(), self.counted.copy()
        counted[errors.row[wrong]] = False
        better = wrong & errors.becomes_right
        rows = errors.row[better]
        label[rows], right[rows], counted[rows] = errors.truth_label[better], True, True
        return _Columns(label, self.score, right, counted)

    def only_right(self) -> _Columns:
        """Return the same without wrong detections, which is as good as having all of them last."""
        return _Columns(self.label, self.score, self.right, self.counted & self.right)

    def aps(self, num_truth: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Return ``[K]`` average precisions; NaN for a class that is not among ``classes`` ``[K]`` bool."""
        rows = np.flatnonzero(self.counted)
        rows = rows[np.argsort(self.label[rows], kind="stable")]
        bounds = np.searchsorted(self.label[rows], np.arange(len(num_truth) + 1))
        aps = np.full(len(num_truth), np.nan)
        for label in np.flatnonzero(classes):
            of_class = rows[bounds[label] : bounds[label + 1]]
            if num_truth[label]:
                aps[label] = average_precision(self.score[of_class], self.right[of_class], int(num_truth[label]))
            else:
                aps[label] = float(len(of_class) == 0)
        return aps


def _left(num_truth: np.ndarray, errors: DetectionErrors, kind: int) -> np.ndarray:
    if kind != MISSED:
        return num_truth
    return num_truth - np.bincount(errors.label[errors.kind == MISSED], minlength=len(num_truth))


def _mean(aps: np.ndarray) -> float | None:
    present = aps[~np.isnan(aps)]
    return float(present.mean()) if present.size else None


def _gain(after: np.ndarray, before: np.ndarray) -> float:
    return (_mean(after) or 0.0) - (_mean(before) or 0.0)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
