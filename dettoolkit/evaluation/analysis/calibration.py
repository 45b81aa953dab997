"""Does a score of 0.8 mean that eight of ten are right: reliability, detection ECE, and the temperature that mends it.

Küppers et al., "Multivariate Confidence Calibration for Object Detection", CVPR workshops 2020: of the detections of like
score, the share of right ones (precision) should be that score. This is their D-ECE over the confidence alone. LaECE (Oksuz et
al., CVPR 2023) differs from it: it is averaged over classes and wants the score to be precision times the mean IoU of the right
ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation.analysis.matching import MatchedDetections

Binning: TypeAlias = Literal["equal_width", "equal_count"]

TEMPERATURES = (0.05, 20.0)
"""Where a best temperature is looked for; one at an end says that there is none between."""

_NEAREST = 1e-7  # of a score to 0 or 1: its logit stays finite


@dataclass(frozen=True)
class ReliabilityCurve:
    """Detections in B bins of their score.

    Args:
        edges: ``[B + 1]`` scores, ascending; a bin holds what is above its lower edge and not above its upper one.
        counts: ``[B]`` int64.
        confidence: ``[B]`` mean score in each bin, NaN in an empty one.
        precision: ``[B]`` share of right ones in each bin, NaN in an empty one.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    precision: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error (D-ECE), 0..1: the mean distance of precision and score; NaN without detections."""
        used = self.counts > 0
        total = self.counts.sum()
        if total == 0:
            return float("nan")
        return float((np.abs(self.precision - self.confidence)[used] * self.counts[used]).sum() / total)

    @property
    def overconfidence(self) -> float:
        """The mean of score minus precision: above 0, scores promise too much; NaN without detections."""
        used = self.counts > 0
        total = self.counts.sum()
        return float(((self.confidence - self.precision)[used] * self.counts[used]).sum() / total) if total else float("nan")


@dataclass(frozen=True)
class Calibration:
    """How far scores can be believed, and what one temperature changes.

    Args:
        before: with the scores as they are.
        after: with the temperature of the other half of the images: what is shown is what new images would get.
        temperature: of all images; above 1 it draws scores towards 0.5, and away from it below.
        loss_before: mean negative log-likelihood of "right" with the scores as they are.
        loss_after: the same as ``after``.
        error_by_class: ``[K]`` D-ECE of each class before; NaN without detections.
    """

    before: ReliabilityCurve
    after: ReliabilityCurve
    temperature: float
    loss_before: float
    loss_after: float
    error_by_class: np.ndarray


def assess_calibration(
    matched: MatchedDetections,
    iou_threshold: float = 0.5,
    min_score: float = 0.0,
    num_bins: int = 20,
    binning: Binning = "equal_width",
) -> Calibration:
    """Judge the scores of detections by how often they are right.

    Args:
        matched: of all images; those that are neither right nor wrong are left out.
        iou_threshold: from which IoU on a detection is right; one of the matched.
        min_score: the lowest score that is looked at. Detectors return many of low score, which the numbers are mostly made of.
        num_bins: B, at most.
        binning: bins as wide as each other, or with as many detections.

    Raises:
        EvaluationError: nothing was matched at that threshold, or no detection is left.
    """
    threshold = matched.threshold_index(iou_threshold)
    rows = np.flatnonzero(~matched.ignored[threshold] & (matched.score >= min_score))
    if not len(rows):
        raise EvaluationError(f"calibration: no detection has a score of {min_score:g} or more")
    scores, right = matched.score[rows].astype(np.float64), matched.is_true_positive[threshold, rows]
    scaled = _scaled_by_the_other_half(scores, right, matched.image[rows] % 2 == 0)
    of_class = (matched.label[rows] == label for label in range(matched.num_truth.shape[1]))
    return Calibration(
        before=reliability_curve(scores, right, num_bins, binning),
        after=reliability_curve(scaled, right, num_bins, binning),
        temperature=fit_temperature(scores, right),
        loss_before=log_loss(scores, right),
        loss_after=log_loss(scaled, right),
        error_by_class=np.array([reliability_curve(scores[mask], right[mask], num_bins, binning).error for mask in of_class]),
    )


def reliability_curve(
    scores: np.ndarray, is_right: np.ndarray, num_bins: int = 20, binning: Binning = "equal_width"
) -> ReliabilityCurve:
    """Return the share of right detections by score.

    Args:
        scores: ``[M]`` in 0..1.
        is_right: ``[M]`` bool.
        num_bins: B; fewer bins of equal count where many scores are equal.
        binning: bins as wide as each other, or with as many detections.

    Raises:
        ValueError: no bin.
    """
    if num_bins < 1:
        raise ValueError(f"num_bins: expected 1 or more, got {num_bins}")
    scores = np.asarray(scores, dtype=np.float64)
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    if binning == "equal_count" and len(scores):
        inner = np.quantile(scores, edges[1:-1], method="inverted_cdf")
        edges = np.unique(np.concatenate([[0.0], inner, [1.0]]))
    bins = np.clip(np.searchsorted(edges, scores) - 1, 0, len(edges) - 2)  # a score of 0 belongs to the first
    counts, sums, right = (
        np.bincount(bins, weights, minlength=len(edges) - 1)
        for weights in (None, scores, np.asarray(is_right, dtype=np.float64))
    )
    empty = np.where(counts > 0, counts, np.nan)
    return ReliabilityCurve(edges, counts.astype(np.int64), sums / empty, right / empty)


def fit_temperature(scores: np.ndarray, is_right: np.ndarray) -> float:
    """Return the temperature T at which sigmoid(logit / T) has the smallest negative log-likelihood, within ``TEMPERATURES``.

    The loss is convex in 1 / T, and its slope there is the sum of (scaled score - right) * logit: its zero is looked for by
    halving.

    Args:
        scores: ``[M]`` in 0..1.
        is_right: ``[M]`` bool.
    """
    logits, right = _logits(scores), np.asarray(is_right, dtype=np.float64)
    low, high = np.log(TEMPERATURES[0]), np.log(TEMPERATURES[1])
    for _ in range(50):
        middle = (low + high) / 2
        slope = float(((_sigmoid(logits / np.exp(middle)) - right) * logits).sum())
        # the slope falls with T: while it is positive, 1 / T is too large
        low, high = (middle, high) if slope > 0 else (low, middle)
    return float(np.exp((low + high) / 2))


def scale_scores(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Return ``[M]`` scores at another temperature, float64; their order stays, and so does AP."""
    return _sigmoid(_logits(scores) / temperature)


def log_loss(scores: np.ndarray, is_right: np.ndarray) -> float:
    """Return the mean negative log-likelihood of what is right under scores ``[M]``."""
    logits = _logits(scores)
    return float(np.logaddexp(0.0, np.where(is_right, -logits, logits)).mean())


def _scaled_by_the_other_half(scores: np.ndarray, right: np.ndarray, first_half: np.ndarray) -> np.ndarray:
    scaled = scores.copy()
    for half in (first_half, ~first_half):
        if half.any() and not half.all():
            scaled[half] = scale_scores(scores[half], fit_temperature(scores[~half], right[~half]))
    return scaled


def _logits(scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.asarray(scores, dtype=np.float64), _NEAREST, 1 - _NEAREST)
    return np.log(clipped) - np.log1p(-clipped)


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -logits))
