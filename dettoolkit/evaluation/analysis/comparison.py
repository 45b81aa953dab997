"""Is one detector better than another, by how much and how sure: both on the same images, resampled together.

What makes an image easy or hard makes it so for both, so their difference is known far better than either AP.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation.analysis.bootstrap import (
    AP,
    FEWEST_IMAGES,
    PrecisionIntervals,
    check_resampling,
    resample,
    summarise,
)
from dettoolkit.evaluation.analysis.intervals import chance_not_above_zero, interval_ends
from dettoolkit.evaluation.analysis.matching import MatchedDetections
from dettoolkit.evaluation.analysis.resampling import ResampledPrecision, portions


@dataclass(frozen=True)
class Comparison:
    """Two detectors, A and B, on the same images.

    Args:
        first: of A.
        second: of B.
        difference: B minus A.
        chance_no_better: of the true AP of B being no larger than that of A; below 0.025 just where an interval of 0.95 of the
            difference lies above 0; NaN without an interval.
        p_value: how often a difference of AP at least as large, either way, comes about where of each image it is left to
            chance which of the two results is called A's.
    """

    first: PrecisionIntervals
    second: PrecisionIntervals
    difference: PrecisionIntervals
    chance_no_better: float
    p_value: float

    def in_words(self) -> str:
        """Return the result as a sentence or two."""
        change = self.difference.ap
        if np.isnan(change.value):
            return "There is no ground truth that counts, so there is nothing to compare."
        if np.isnan(change.low):
            few = f"Fewer than {FEWEST_IMAGES} images have an object"
            return f"B - A is {change.value:+.3f} AP. {few}: how sure that is cannot be said."
        if change.low == change.high == 0:
            return "A and B have the same AP on every resample: there is no difference."
        limits = f"({100 * self.difference.confidence:g} %: {change.low:.3f} to {change.high:.3f})"
        if change.low > 0:
            chance = _percent(self.chance_no_better)
            words = f"B is better by {change.value:.3f} AP {limits}; chance that it is no better: {chance}."
        elif change.high < 0:
            chance = _percent(1 - self.chance_no_better)
            words = f"B is worse by {-change.value:.3f} AP ({limits[1:-1]} for B - A); chance that it is no worse: {chance}."
        else:
            words = (
                f"It is not clear which is better: B - A is {change.value:+.3f} AP {limits}; chance that B is no better: "
                f"{_percent(self.chance_no_better)}. More test images would tell."
            )
        return f"{words} Sign-flip test: p = {self.p_value:.3g}."


def compare_precision(
    first: MatchedDetections,
    second: MatchedDetections,
    num_replicates: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two detectors on the same images.

    Args:
        first: what A found, matched.
        second: what B found in the same images, in the same order, matched at the same IoU thresholds.
        num_replicates: of the bootstrap, and of the sign-flip test.
        seed: the same seed, the same numbers.
        confidence: of the intervals, which are ``widened`` ones (see :func:`~.intervals.interval_ends`).

    Raises:
        EvaluationError: the images or the thresholds differ, there are fewer than two images, or nothing was matched at an IoU
            of 0.5.
        ValueError: a number makes no sense.
    """
    _check_same_images(first, second)
    num_images, at_50 = len(first.num_truth), first.threshold_index(0.5)
    check_resampling(num_images, num_replicates, confidence)
    of_first, of_second = ResampledPrecision(first), ResampledPrecision(second)

    def statistic(weights: np.ndarray) -> np.ndarray:
        a, b = summarise(of_first(weights), at_50), summarise(of_second(weights), at_50)
        return np.stack([a, b, b - a], axis=1)

    value, replicates, jackknife = resample(statistic, num_images, num_replicates, seed)
    ends = interval_ends(value, replicates, jackknife, confidence, "widened")
    parts = [PrecisionIntervals.from_ends(value[i], ends[:, i], confidence, first.num_truth) for i in range(3)]
    of_ap = (2, AP, 0)  # difference, AP, all classes
    columns = replicates[(slice(None), *of_ap)], jackknife[(slice(None), *of_ap)]
    chance = float(chance_not_above_zero(value[of_ap], *columns, confidence))
    known = chance if np.isfinite(parts[2].ap.low) else float("nan")
    return Comparison(parts[0], parts[1], parts[2], known, sign_flip_test(first, second, num_replicates, seed))


def sign_flip_test(first: MatchedDetections, second: MatchedDetections, num_flips: int = 1000, seed: int = 0) -> float:
    """Return the two-sided p-value of the difference of AP where A and B are the same but for chance.

    Args:
        first: what A found, matched.
        second: what B found in the same images, matched.
        num_flips: how often all images are dealt out; the smallest p-value is 1 / (num_flips + 1).
        seed: of the dealing.
    """
    precision, num_images = ResampledPrecision(_side_by_side(first, second)), len(first.num_truth)
    (difference,) = _differences(precision, np.zeros((1, num_images)))
    if np.isnan(difference):
        return float("nan")
    generator, as_large = np.random.default_rng(seed), 0
    for count in portions(num_flips, 2 * num_images):
        flips = generator.integers(0, 2, (count, num_images)).astype(np.float64)
        as_large += int((_differences(precision, flips) >= difference - 1e-12).sum())  # as sums in another order may be
    return (1 + as_large) / (num_flips + 1)


def _differences(precision: ResampledPrecision, flips: np.ndarray) -> np.ndarray:
    """Return ``[B]``: how far the AP of A and B are apart where the results of some images (1 in ``[B, I]``) are exchanged."""
    weights = np.stack([1 - flips, flips], axis=2).reshape(len(flips), -1)
    a, b = (summarise(precision(each), 0)[:, AP, 0] for each in (weights, 1 - weights))
    return np.abs(b - a)


def _side_by_side(first: MatchedDetections, second: MatchedDetections) -> MatchedDetections:
    """Return the detections of 2 I images: each with those of A, then of B, so that equal scores keep their order."""
    image = np.concatenate([2 * first.image, 2 * second.image + 1])
    order = np.argsort(image, kind="stable")
    columns = {
        name: np.concatenate([getattr(first, name), getattr(second, name)], axis=-1)[..., order]
        for name in ("index", "label", "score", "truth", "ignored")
    }
    num_truth = np.repeat(first.num_truth, 2, axis=0)
    return MatchedDetections(image=image[order], num_truth=num_truth, iou_thresholds=first.iou_thresholds, **columns)


def _check_same_images(first: MatchedDetections, second: MatchedDetections) -> None:
    if not np.array_equal(first.num_truth, second.num_truth):
        raise EvaluationError(
            "A and B have to be matched on the same images in the same order; they differ in their ground-truth boxes: "
            f"{first.num_truth.sum()} in {len(first.num_truth)} images, and {second.num_truth.sum()} in {len(second.num_truth)}"
        )
    if not np.allclose(first.iou_thresholds, second.iou_thresholds):
        raise EvaluationError(f"IoU thresholds differ: {first.iou_thresholds} and {second.iou_thresholds}")


def _percent(share: float) -> str:
    return "under 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"
