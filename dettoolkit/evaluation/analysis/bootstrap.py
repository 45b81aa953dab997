"""How sure an AP is: intervals from resampling the images with replacement.

The images are what is drawn, with all that is in them: boxes of one image share their light, crowd and camera. A replicate
draws as many images as there are, so that some count twice and some not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation.analysis.matching import MatchedDetections
from dettoolkit.evaluation.analysis.resampling import ResampledPrecision, Statistic, draw_weights

IntervalMethod: TypeAlias = Literal["widened", "bca", "percentile", "basic"]

AP, AP50 = 0, 1  # the first index of what summarise() returns

_NORMAL = NormalDist()
_MAX_GROUPS = 200  # images are left out one by one, and beyond that in so many groups
_FEWEST_DEGREES = 4.0


@dataclass(frozen=True)
class Interval:
    """A number and where it would lie on other images of the same kind; all NaN for a class without ground truth.

    Args:
        value: on the images that there are.
        low: lower end.
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
    def from_ends(cls, values: np.ndarray, ends: np.ndarray, confidence: float, num_images: int) -> PrecisionIntervals:
        """Return the same from numbers ``[2, 1 + K]`` as :func:`summarise` orders them and ends ``[2, 2, 1 + K]``."""
        rows = [
            [Interval(*map(float, numbers)) for numbers in zip(values[row], ends[0, row], ends[1, row], strict=True)]
            for row in (AP, AP50)
        ]
        return cls(rows[AP][0], rows[AP50][0], tuple(rows[AP][1:]), tuple(rows[AP50][1:]), confidence, num_images)


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
    return PrecisionIntervals.from_ends(value, ends, confidence, precision.num_images)


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
    replicates = statistic(draw_weights(num_images, num_replicates, generator))
    return statistic(np.ones((1, num_images)))[0], replicates, statistic(left_out)


def interval_ends(
    value: np.ndarray, replicates: np.ndarray, jackknife: np.ndarray, confidence: float, method: IntervalMethod
) -> np.ndarray:
    """Return the lower and the upper ends ``[2, ...]`` of bootstrap intervals.

    ``percentile`` takes the quantiles of the replicates, ``basic`` mirrors them at the value. ``bca`` (Efron, 1987) takes other
    quantiles, which make good that replicates lie off the value and spread more on one side.

    ``widened`` makes good that they lie off the value (Efron, 1981), and that replicates of AP spread too little where few
    images decide: a copy of an image adds no new mistake. Its quantile is Student's, with as many degrees of freedom as
    the variance over images has, times the deviation of the jackknife over that of the replicates where that is more than 1.
    Of the four it covers the truth most nearly as often as it says (docs/benchmarks/bootstrap_coverage.md).

    Args:
        value: ``[...]``.
        replicates: ``[B, ...]``; those that are NaN are left out.
        jackknife: ``[J, ...]`` the value without each image or group of images.
        confidence: e.g. 0.95.
        method: the kind.
    """
    tail = (1 - confidence) / 2
    shape = value.shape
    value, replicates, jackknife = (
        value.reshape(-1),
        replicates.reshape(len(replicates), -1),
        jackknife.reshape(len(jackknife), -1),
    )
    ends = np.full((2, len(value)), np.nan)
    for column in np.flatnonzero(~np.isnan(value)):
        drawn = replicates[:, column][~np.isnan(replicates[:, column])]
        without = jackknife[:, column][~np.isnan(jackknife[:, column])]
        shares = _shares(value[column], drawn, without, tail, method)
        low, high = np.quantile(drawn, shares)
        ends[:, column] = (2 * value[column] - high, 2 * value[column] - low) if method == "basic" else (low, high)
    return ends.reshape(2, *shape)


def _shares(value: float, drawn: np.ndarray, without: np.ndarray, tail: float, method: IntervalMethod) -> tuple[float, float]:
    """Return the shares of the replicates that lie below the ends of an interval."""
    if method in ("percentile", "basic"):
        return tail, 1 - tail
    bias, influence = _quantile_of(value, drawn), without.mean() - without
    skew, quantile = _acceleration(influence), _NORMAL.inv_cdf(1 - tail)
    if method == "widened":
        skew, quantile = 0.0, quantile * _widening(drawn, influence, tail)
    lower, upper = (bias + side / (1 - min(skew * side, 0.9)) for side in (bias - quantile, bias + quantile))
    return _NORMAL.cdf(lower), _NORMAL.cdf(upper)


def chance_not_above_zero(value: np.ndarray, replicates: np.ndarray, jackknife: np.ndarray, confidence: float) -> np.ndarray:
    """Return ``[...]``: the largest tail whose ``widened`` interval has its lower end at zero; NaN where the value is.

    It is the share of replicates below zero, made good for their bias and their spread as the interval is. So it is less than
    (1 - confidence) / 2 just where the interval lies above zero.

    Args:
        value: ``[...]``, as the others are in :func:`interval_ends`.
        replicates: ``[B, ...]``.
        jackknife: ``[J, ...]``.
        confidence: of that interval.
    """
    chances = np.full(value.shape, np.nan)
    for where in np.ndindex(value.shape):
        if np.isnan(value[where]):
            continue
        drawn, without = (rows[(slice(None), *where)] for rows in (replicates, jackknife))
        drawn, without = drawn[~np.isnan(drawn)], without[~np.isnan(without)]
        widening = _widening(drawn, without.mean() - without, (1 - confidence) / 2)
        distance = 2 * _quantile_of(float(value[where]), drawn) - _quantile_of(0.0, drawn)
        chances[where] = 1 - _NORMAL.cdf(distance / widening)
    return chances


def _quantile_of(number: float, drawn: np.ndarray) -> float:
    """Return where a number lies among the replicates, in normal deviations: 0 in their middle."""
    below = float((drawn < number).mean() + (drawn == number).mean() / 2)
    margin = 1 / (len(drawn) + 1)  # what lies beyond all replicates is as far as one of one more could be
    return _NORMAL.inv_cdf(min(max(below, margin), 1 - margin))


def _acceleration(influence: np.ndarray) -> float:
    spread = float((influence**2).sum())
    return float((influence**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0


def _widening(drawn: np.ndarray, influence: np.ndarray, tail: float) -> float:
    """Return Student's quantile over the normal one, times the jackknife's deviation over the replicates' if more than 1."""
    by_student = student_quantile(1 - tail, _degrees_of_freedom(influence)) / _NORMAL.inv_cdf(1 - tail)
    deviation = float(drawn.std())
    by_jackknife = float(np.sqrt((len(influence) - 1) * (influence**2).mean()))
    return by_student * (max(1.0, by_jackknife / deviation) if deviation > 0 else 1.0)


def _degrees_of_freedom(influence: np.ndarray) -> float:
    """Return how many squares of equal normal variables vary as much as the mean square of these: 2 J / (kurtosis - 1)."""
    most, variance = float(max(len(influence) - 1, 1)), float((influence**2).mean())
    if variance == 0:
        return most
    kurtosis = float((influence**4).mean()) / variance**2
    return min(max(2 * len(influence) / max(kurtosis - 1, 1e-9), _FEWEST_DEGREES), most)


def student_quantile(share: float, degrees: float) -> float:
    """Return the quantile of Student's t by its expansion about the normal one (Abramowitz and Stegun 26.7.5).

    At a share of 0.975 it is off by less than 0.001 from 4 degrees on.
    """
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / degrees**power for power, term in enumerate(terms, start=1))
