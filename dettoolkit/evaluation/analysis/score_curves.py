"""Precision, recall and F1 of each class, against the score from which on its detections are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dettoolkit.evaluation.analysis.matching import MatchedDetections


@dataclass(frozen=True)
class ScoreCurve:
    """What is right and wrong of one class at each score threshold that makes a difference: S of them, falling.

    The first threshold is above all scores, so that nothing is kept. Each other one lies halfway between two scores that follow
    each other, so that small differences of the scores, as between machines, change nothing; the last one is 0.

    Args:
        thresholds: ``[S]`` float32; detections with a score of at least this are kept.
        true_positives: ``[S]`` int64.
        false_positives: ``[S]`` int64.
        num_truth: objects of the class.
    """

    thresholds: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray
    num_truth: int

    @property
    def precision(self) -> np.ndarray:
        """``[S]``: right ones among those that are kept; NaN where nothing is."""
        kept = self.true_positives + self.false_positives
        return np.divide(self.true_positives, kept, out=np.full(len(kept), np.nan), where=kept > 0)

    @property
    def recall(self) -> np.ndarray:
        """``[S]``: objects that are found among all; NaN where there are none."""
        return self.true_positives / self.num_truth if self.num_truth else np.full(len(self.thresholds), np.nan)

    @property
    def f1(self) -> np.ndarray:
        """``[S]``: harmonic mean of both, 2 TP / (2 TP + FP + FN); NaN without objects."""
        if not self.num_truth:
            return np.full(len(self.thresholds), np.nan)
        return 2 * self.true_positives / (self.true_positives + self.false_positives + self.num_truth)

    def to_dict(self, points: int = 101) -> dict[str, Any]:
        """Return plain data for JSON.

        Args:
            points: of curves with more, as many are given, spread evenly over the detections, both ends included.
        """
        chosen = np.unique(np.linspace(0, len(self.thresholds) - 1, min(points, len(self.thresholds))).round().astype(int))
        columns = {"score": self.thresholds, "precision": self.precision, "recall": self.recall, "f1": self.f1}
        rounded = {name: [_rounded(value) for value in column[chosen].tolist()] for name, column in columns.items()}
        return {"num_truth": self.num_truth, **rounded}


def score_curves(matched: MatchedDetections) -> tuple[ScoreCurve, ...]:
    """Return the curve of each of the K classes, at the first IoU threshold of ``matched``.

    Taking away the detections below a score changes no match of the others, which had their turn before. Detections that are
    neither right nor wrong are left out.
    """
    right, counted = matched.is_true_positive[0], ~matched.ignored[0]
    num_truth = matched.num_truth.sum(axis=0)
    rows = [np.flatnonzero((matched.label == label) & counted) for label in range(len(num_truth))]
    return tuple(
        _curve(matched.score[of_class], right[of_class], int(count)) for of_class, count in zip(rows, num_truth, strict=True)
    )


def _curve(scores: np.ndarray, right: np.ndarray, num_truth: int) -> ScoreCurve:
    order = np.argsort(-scores, kind="stable")
    falling, true_positives = scores[order], np.cumsum(right[order])
    last = np.flatnonzero(np.append(falling[1:] != falling[:-1], True)[: len(falling)])  # equal scores go together
    kept = falling[last]
    return ScoreCurve(
        thresholds=_between(kept),
        true_positives=np.concatenate([[0], true_positives[last]]).astype(np.int64),
        false_positives=np.concatenate([[0], last + 1 - true_positives[last]]).astype(np.int64),
        num_truth=num_truth,
    )


def _between(scores: np.ndarray) -> np.ndarray:
    """Return ``[S + 1]`` thresholds around ``[S]`` falling scores; where no number lies between two, the higher of them."""
    above = np.concatenate([[max(1.0, float(scores[0]) if len(scores) else 0.0)], scores]).astype(np.float32)
    below = np.append(scores, 0.0).astype(np.float32)
    middle = ((above.astype(np.float64) + below) / 2).astype(np.float32)
    thresholds = np.where(middle > below, middle, above)
    thresholds[-1] = 0.0
    if len(scores) and thresholds[0] <= scores[0]:
        thresholds[0] = np.nextafter(scores[0], np.float32(2))
    return thresholds


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)
