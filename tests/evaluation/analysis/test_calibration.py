"""Calibration: bins worked by hand, calibrated scores made by their definition, and a known temperature found again."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation.analysis.calibration import (
    TEMPERATURES,
    assess_calibration,
    fit_temperature,
    log_loss,
    reliability_curve,
    scale_scores,
)
from dettoolkit.evaluation.analysis.matching import MatchedDetections


def calibrated(count: int, lowest: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are right as often as they say: each is right with its own probability."""
    generator = np.random.default_rng(0)
    scores = lowest + (1 - 2 * lowest) * generator.beta(0.6, 1.0, count)
    return scores, generator.random(count) < scores


def matched_of(scores, right, ignored=None, label=None, image=None, num_classes=1) -> MatchedDetections:
    count = len(scores)
    image = np.arange(count) if image is None else image
    truth = np.where(right, 0, -1)[None]
    ignored = np.zeros(count, dtype=bool) if ignored is None else np.asarray(ignored)
    label = np.zeros(count, dtype=np.int64) if label is None else np.asarray(label)
    num_truth = np.ones((count, num_classes), dtype=np.int64)
    index = np.zeros(count, dtype=np.int64)
    return MatchedDetections(image, index, label, np.float32(scores), truth, ignored[None], num_truth, (0.5,))


def test_bins_worked_by_hand():
    scores, right = np.array([0.0, 0.1, 0.5, 0.6, 0.9, 1.0]), np.array([0, 1, 0, 1, 1, 1], dtype=bool)
    curve = reliability_curve(scores, right, num_bins=2)  # an edge belongs to the bin below
    assert curve.edges.tolist() == [0, 0.5, 1]
    assert curve.counts.tolist() == [3, 3]
    assert curve.confidence.tolist() == pytest.approx([0.2, 2.5 / 3])
    assert curve.precision.tolist() == pytest.approx([1 / 3, 1])
    assert curve.error == pytest.approx((1 / 3 - 0.2) / 2 + (1 - 2.5 / 3) / 2)
    assert curve.overconfidence == pytest.approx(3.1 / 6 - 4 / 6)


def test_bins_of_equal_count_hold_equally_many_and_equal_scores_stay_together():
    scores, right = calibrated(1000)
    curve = reliability_curve(scores, right, 8, "equal_count")
    assert curve.counts.tolist() == [125] * 8
    tied = reliability_curve(np.array([0.3] * 50 + [0.7]), np.array([False] * 51), 10, "equal_count")
    assert tied.counts.tolist() == [50, 1]


def test_an_empty_bin_and_no_detections_are_nan():
    curve = reliability_curve(np.array([0.9]), np.array([True]), 2)
    assert math.isnan(curve.precision[0])
    assert curve.error == pytest.approx(0.1)
    assert math.isnan(reliability_curve(np.array([]), np.array([], dtype=bool)).error)
    assert math.isnan(reliability_curve(np.array([]), np.array([], dtype=bool)).overconfidence)
    with pytest.raises(ValueError, match="num_bins: expected 1 or more, got 0"):
        reliability_curve(np.array([]), np.array([], dtype=bool), 0)


@pytest.mark.parametrize("binning", ["equal_width", "equal_count"])
def test_calibrated_scores_have_an_error_near_zero_and_a_temperature_near_one(binning):
    scores, right = calibrated(200_000)
    # a bin of n detections is off by sqrt(p (1 - p) / n), 0.005 at most for n = 10,000
    assert reliability_curve(scores, right, binning=binning).error < 0.005
    assert fit_temperature(scores, right) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("temperature", [0.5, 1.7, 4.0])
def test_a_known_temperature_is_found_again(temperature):
    scores, right = calibrated(200_000, lowest=0.02)  # a score at 0 or 1 has no temperature
    sharpened = scale_scores(scores, 1 / temperature)
    np.testing.assert_allclose(scale_scores(sharpened, temperature), scores, atol=1e-5)
    assert fit_temperature(sharpened, right) == pytest.approx(temperature, rel=0.02)


def test_the_temperature_has_the_smallest_loss_of_a_grid():
    generator = np.random.default_rng(3)
    scores, right = generator.random(2000), generator.random(2000) < 0.3
    best = fit_temperature(scores, right)
    losses = [log_loss(scale_scores(scores, t), right) for t in np.geomspace(0.1, 20, 400)]
    assert log_loss(scale_scores(scores, best), right) <= min(losses) + 1e-9
    assert log_loss(scores, right) == pytest.approx(-np.log(np.where(right, scores, 1 - scores)).mean())


@pytest.mark.parametrize(("right", "end"), [([True, False], 0), ([False, True], 1)])
def test_scores_that_separate_everything_or_the_wrong_way_round_end_at_a_limit(right, end):
    assert fit_temperature(np.array([0.9, 0.1]), np.array(right)) == pytest.approx(TEMPERATURES[end])


def test_overconfident_detections_are_mended_on_images_that_did_not_fit():
    scores, right = calibrated(40_000)
    sharp = scale_scores(scores, 0.4)
    result = assess_calibration(matched_of(sharp, right))
    assert result.temperature == pytest.approx(2.5, rel=0.05)
    assert result.before.error > 0.1
    assert result.after.error < 0.02
    assert result.loss_after < result.loss_before
    assert result.error_by_class.tolist() == pytest.approx([result.before.error])


def test_what_counts_neither_way_and_low_scores_are_left_out_and_classes_are_told_apart():
    scores, right = [0.75, 0.75, 0.75, 0.75, 0.1], [True, False, True, True, True]
    ignored, label = [False, False, True, False, False], [0, 0, 0, 1, 1]
    result = assess_calibration(matched_of(scores, right, ignored, label, num_classes=3), min_score=0.5)
    assert result.before.counts.sum() == 3
    assert result.before.error == pytest.approx(0.75 - 2 / 3, abs=1e-6)
    assert result.error_by_class[:2].tolist() == pytest.approx([0.25, 0.25])
    assert math.isnan(result.error_by_class[2])


def test_nothing_to_look_at_and_another_threshold_are_errors():
    with pytest.raises(EvaluationError, match=r"no detection has a score of 0\.9 or more"):
        assess_calibration(matched_of([0.5], [True]), min_score=0.9)
    with pytest.raises(EvaluationError, match=r"not matched at an IoU of 0\.75; they were at 0\.5"):
        assess_calibration(matched_of([0.5], [True]), iou_threshold=0.75)
