"""How sure an AP is: intervals from resampling the images with replacement.

The images are what is drawn, with all that is in them: boxes of one image share their light, crowd and camera. A replicate
draws as many images as there are, so that some count twice and some not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation.analysis.intervals import IntervalMethod, interval_ends
from dettoolkit.evaluation.analysis.matching import MatchedDetections
from dettoolkit.evaluation.analysis.resampling import ResampledPrecision, Statistic, draw_weights, portions

FEWEST_IMAGES = 5
"""Of fewer images with an object, resampling says nothing of other images: there is a value and no interval."""

AP, AP50 = 0, 1  # the first index of what summarise() returns

_MAX_GROUPS = 200  # images are left out one by one, and beyond that in so many groups


@dataclass(frozen=True)
class Interval:
    """A number and where it would lie on other images of the same kind.

    Args:
        value: on the images that there are; NaN for a class without ground truth.
        low: lower end; NaN where fewer than ``FEWEST_IMAGES`` images have an object.
        high: upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PrecisionIntervals:
    """Average precision with its intervals, in 0..1.

    Args:
        ap: over all classes.
        ap50: over all classes, at an IoU of 0.5.
        ap_by_class: ``[K]``.
        ap50_by_class: ``[K]``.
        confidence: of each interval, e.g. 0.95.
        num_images: I.
    """

    ap: Interval
    ap50: Interval
    ap_by_class: tuple[Interval, ...]
    ap50_by_class: tuple[Interval, ...]
    confidence: float
    num_images: int

    @classmethod
    def from_ends(cls, values: np.ndarray, ends: np.ndarray, confidence: float, num_truth: np.ndarray) -> PrecisionIntervals:
        """Return the same from arrays.

        Args:
            values: ``[2, 1 + K]``, as :func:`summarise` orders them.
            ends: ``[2, 2, 1 + K]``, lower and upper.
            confidence: of the intervals.
            num_truth: ``[I, K]`` ground-truth boxes.
        """
        with_object = np.concatenate([[(num_truth.sum(axis=1) > 0).sum()], (num_truth > 0).sum(axis=0)])
        low, high = np.where(with_object < FEWEST_IMAGES, np.nan, ends)
        ap, ap50 = (
            [Interval(*map(float, numbers)) for numbers in zip(values[row], low[row], high[row], strict=True)]
            for row in (AP, AP50)
        )
        return cls(ap[0], ap50[0], tuple(ap[1:]), tuple(ap50[1:]), confidence, len(num_truth))


def bootstrap_precision(
    matched: MatchedDetections,
    num_replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    method: IntervalMethod = "widened",
) -> PrecisionIntervals:
    """Return AP, AP50 and those of each class, with intervals.

    Args:
        matched: of I images, at COCO's IoU thresholds for COCO's AP; 0.5 must be among them.
        num_replicates: B; the ends of an interval of 95 % are read off from the 25 outermost of 1000.
        seed: the same seed, the same numbers.
        confidence: how often such an interval holds the truth.
        method: see :func:`interval_ends`.

    Raises:
        EvaluationError: there are fewer than two images, or nothing was matched at an IoU of 0.5.
        ValueError: a number makes no sense.
    """
    check_resampling(len(matched.num_truth), num_replicates, confidence)
    precision, at_50 = ResampledPrecision(matched), matched.threshold_index(0.5)

    def statistic(weights: np.ndarray) -> np.ndarray:
        return summarise(precision(weights), at_50)

    value, replicates, jackknife = resample(statistic, precision.num_images, num_replicates, seed)
    ends = interval_ends(value, replicates, jackknife, confidence, method)
    return PrecisionIntervals.from_ends(value, ends, confidence, matched.num_truth)


def check_resampling(num_images: int, num_replicates: int, confidence: float) -> None:
    """Refuse what cannot be resampled.

    Raises:
        EvaluationError: there are fewer than two images.
        ValueError: a number makes no sense.
    """
    if num_images < 2:
        raise EvaluationError(f"a bootstrap draws images again and again: expected 2 images or more, got {num_images}")
    if num_replicates < 1:
        raise ValueError(f"num_replicates: expected 1 or more, got {num_replicates}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected more than 0 and less than 1, got {confidence}")


def summarise(table: np.ndarray, at_50: int) -> np.ndarray:
    """Return ``[B, 2, 1 + K]``: AP and AP50, first over all classes that have ground truth, then of each.

    Args:
        table: ``[B, T, K]`` average precisions, NaN without ground truth.
        at_50: the index of the IoU threshold 0.5.
    """
    by_class = np.stack([table.mean(axis=1), table[:, at_50]], axis=1)
    return np.concatenate([_nan_mean(by_class)[..., None], by_class], axis=-1)


def _nan_mean(values: np.ndarray) -> np.ndarray:
    present = ~np.isnan(values)
    counts = present.sum(axis=-1)
    return np.where(counts > 0, np.where(present, values, 0.0).sum(axis=-1) / np.maximum(counts, 1), np.nan)


def resample(
    statistic: Statistic, num_images: int, num_replicates: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a statistic ``[...]`` of all images, of resamples ``[B, ...]``, and with images left out ``[J, ...]``.

    Args:
        statistic: of weights ``[B, I]``.
        num_images: I.
        num_replicates: B.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    groups = generator.permutation(num_images) % min(num_images, _MAX_GROUPS)
    left_out = (groups != np.arange(groups.max() + 1)[:, None]).astype(np.float64)
    replicates = [statistic(draw_weights(num_images, count, generator)) for count in portions(num_replicates, num_images)]
    return statistic(np.ones((1, num_images)))[0], np.concatenate(replicates), statistic(left_out)
