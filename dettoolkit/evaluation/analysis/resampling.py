"""Average precision over images that count several times or not at all: what a bootstrap asks for a thousand times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dettoolkit.evaluation.analysis.average_precision import RECALLS
from dettoolkit.evaluation.analysis.matching import MatchedDetections

Statistic: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Weights of the images ``[B, I]`` -> numbers ``[B, ...]``."""

_ROUNDED_UP = np.arange(len(RECALLS)) / 100 < RECALLS  # 0.07 and others: a recall of exactly 7 / 100 falls short of COCO's 0.07
_CELLS = 1 << 20  # numbers worked on at a time: a few arrays of this size stay in a processor's cache
_DRAWN = 1 << 24  # weights drawn at a time: 128 MiB


@dataclass(frozen=True)
class _Curve:
    """The detections of one class at one IoU threshold that count, by score.

    Args:
        images: ``[M]`` the image of each.
        right: ``[P]`` positions of the true positives among them.
    """

    images: np.ndarray
    right: np.ndarray


class ResampledPrecision:
    """Average precision of the same matched detections under any weights of the images.

    Precision is at its best, and recall moves, at true positives only; so each replicate needs nothing but the numbers of
    detections and of true positives up to each of them.

    Args:
        matched: of I images, T thresholds, K classes.
    """

    def __init__(self, matched: MatchedDetections) -> None:
        self.num_truth = matched.num_truth.astype(np.float64)
        self.num_thresholds = len(matched.iou_thresholds)
        order = np.argsort(-matched.score, kind="stable")
        labels, right, counted = matched.label[order], matched.is_true_positive[:, order], ~matched.ignored[:, order]
        images = matched.image[order]
        self._curves: list[list[_Curve]] = []
        for label in range(matched.num_truth.shape[1]):
            of_class = np.flatnonzero(labels == label)
            rows_by_threshold = [of_class[counted[threshold, of_class]] for threshold in range(self.num_thresholds)]
            self._curves.append(
                [
                    _Curve(images[rows], np.flatnonzero(right[threshold, rows]))
                    for threshold, rows in enumerate(rows_by_threshold)
                ]
            )

    @property
    def num_images(self) -> int:
        """I."""
        return len(self.num_truth)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Return ``[B, T, K]`` average precisions; NaN where a class has no ground truth.

        Equal to :func:`average_precision` of each replicate but for rounding.

        Args:
            weights: ``[B, I]`` whole numbers, how often each image counts in each of B replicates.
        """
        num_truth = weights @ self.num_truth
        table = np.full((len(weights), self.num_thresholds, len(self._curves)), np.nan)
        for label, curves in enumerate(self._curves):
            step = max(1, _CELLS // max(1, *(len(curve.images) for curve in curves)))
            for start in range(0, len(weights), step):
                block = slice(start, start + step)
                table[block, :, label] = _precisions(curves, weights[block], num_truth[block, label])
        return table


def _precisions(curves: list[_Curve], weights: np.ndarray, num_truth: np.ndarray) -> np.ndarray:
    """Return ``[B, T]`` average precisions of one class; weights ``[B, I]``, num_truth ``[B]``."""
    table = np.zeros((len(weights), len(curves)))
    known: np.ndarray | None = None
    for threshold, curve in enumerate(curves):
        if not len(curve.right):
            continue
        if known is not curve.images and (known is None or not np.array_equal(known, curve.images)):
            so_far = np.cumsum(weights[:, curve.images], axis=1)  # crowds apart, the same at every threshold
        known = curve.images
        right = np.cumsum(weights[:, curve.images[curve.right]], axis=1)
        table[:, threshold] = _area(right, so_far[:, curve.right], num_truth)
    table[num_truth <= 0] = np.nan
    return table


def _area(right: np.ndarray, so_far: np.ndarray, num_truth: np.ndarray) -> np.ndarray:
    """Return ``[B]``: the best precision from each true positive on, times the recalls that it is the first to reach.

    Args:
        right: ``[B, P]`` true positives up to each true positive.
        so_far: ``[B, P]`` detections up to each true positive.
        num_truth: ``[B]``.
    """
    precision = right / np.maximum(so_far, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    reached = recalls_reached(right, np.maximum(num_truth, 1)[:, None])
    gained = np.diff(reached, axis=1, prepend=0.0)
    return np.einsum("bp,bp->b", envelope, gained) / len(RECALLS)


def recalls_reached(right: np.ndarray, num_truth: np.ndarray) -> np.ndarray:
    """Return how many of the 101 recalls are at most right / num_truth, float64; both are whole numbers.

    It is ``searchsorted(RECALLS, right / num_truth, "right")``, which would take half of the time of a bootstrap.
    """
    percent = 100 * right / num_truth
    steps = np.floor(percent)
    whole = np.nonzero(steps == percent)
    reached = steps + 1
    reached[whole] -= _ROUNDED_UP[steps[whole].astype(np.int64)]
    return reached


def portions(num_replicates: int, num_images: int) -> Iterator[int]:
    """Yield how many replicates to draw at a time, so that memory does not grow with their number."""
    step = max(1, _DRAWN // max(1, num_images))
    for start in range(0, num_replicates, step):
        yield min(step, num_replicates - start)


def draw_weights(num_images: int, num_replicates: int, generator: np.random.Generator) -> np.ndarray:
    """Return ``[B, I]`` float64: how often each image comes when as many images as there are are drawn with replacement."""
    drawn = generator.integers(0, num_images, (num_replicates, num_images))
    drawn += np.arange(num_replicates)[:, None] * num_images
    counts = np.bincount(drawn.ravel(), minlength=num_replicates * num_images)
    return counts.reshape(num_replicates, num_images).astype(np.float64)
