"""Ends of bootstrap intervals: where a number would lie on other images, from what it is on resampled ones."""

from __future__ import annotations

from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np

IntervalMethod: TypeAlias = Literal["widened", "bca", "percentile", "basic"]

_NORMAL = NormalDist()
_FEWEST_DEGREES = 4.0


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
        drawn, without = _present(replicates[:, column]), _present(jackknife[:, column])
        if not len(drawn):
            continue
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
        drawn, without = (_present(rows[(slice(None), *where)]) for rows in (replicates, jackknife))
        if np.isnan(value[where]) or not len(drawn):
            continue
        widening = _widening(drawn, without.mean() - without, (1 - confidence) / 2)
        distance = 2 * _quantile_of(float(value[where]), drawn) - _quantile_of(0.0, drawn)
        chances[where] = 1 - _NORMAL.cdf(distance / widening)
    return chances


def _present(numbers: np.ndarray) -> np.ndarray:
    return numbers[~np.isnan(numbers)]


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
