"""Intervals: the three kinds by hand or by scipy's formulas, and how often they cover what is known."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation.analysis.average_precision import average_precisions
from dettoolkit.evaluation.analysis.bootstrap import (
    bootstrap_precision,
    chance_not_above_zero,
    interval_ends,
    resample,
    student_quantile,
    summarise,
)
from dettoolkit.evaluation.analysis.matching import match_detections


def test_percentile_and_basic_intervals_worked_by_hand():
    replicates = np.arange(101.0)[:, None]  # quantile q is 100 q
    ends = interval_ends(np.array([45.0]), replicates, np.zeros((2, 1)), 0.9, "percentile")
    assert ends[:, 0].tolist() == pytest.approx([5, 95])
    ends = interval_ends(np.array([45.0]), replicates, np.zeros((2, 1)), 0.9, "basic")
    assert ends[:, 0].tolist() == pytest.approx([90 - 95, 90 - 5])


@pytest.mark.parametrize(
    ("method", "effect", "quantile"),
    [
        ("bca", 0.001, 1.95996),
        ("widened", 0.001, 2.0930),  # tables: t of 19 degrees at 0.975
        ("widened", 1.0, 2.0930 * math.sqrt(19) / (10 / math.sqrt(12))),  # the jackknife's deviation over the replicates'
    ],
)
def test_without_bias_and_skew_an_interval_is_that_of_the_percentiles_at_its_quantile(method, effect, quantile):
    replicates = np.linspace(-5, 5, 10_001)[:, None]
    jackknife = effect * np.tile([1.0, -1.0], 10)[:, None]  # kurtosis 1: as many degrees of freedom as can be, 19
    ends = interval_ends(np.array([0.0]), replicates, jackknife, 0.95, method)
    share = NormalDist().cdf(quantile)
    assert ends[:, 0].tolist() == pytest.approx([-10 * (share - 0.5), 10 * (share - 0.5)], abs=1e-3)


def test_a_few_images_that_decide_make_an_interval_wider():
    replicates = np.linspace(-5, 5, 10_001)[:, None]
    even = 0.01 * np.tile([1.0, -1.0], 20)[:, None]
    uneven = even.copy()
    uneven[:2] *= 20
    narrow, wide = (interval_ends(np.array([0.0]), replicates, jack, 0.95, "widened")[1, 0] for jack in (even, uneven))
    # kurtosis 2 (20**4 + 19) / 2 / 40 over the squared variance: 2 * 40 / (18.2 - 1) degrees, of which the quantile is 2.73
    assert narrow < wide == pytest.approx(10 * (NormalDist().cdf(student_quantile(0.975, 4.64)) - 0.5), abs=2e-3)


def test_bca_makes_good_a_bias_and_a_skew():
    generator = np.random.default_rng(0)
    replicates = generator.normal(0.5, 1.0, (4000, 1))  # half a deviation above the value
    symmetric = np.tile([1.0, -1.0], 50)[:, None]
    low, high = interval_ends(np.array([0.0]), replicates, symmetric, 0.95, "bca")[:, 0]
    assert (low + high) / 2 == pytest.approx(-0.5, abs=0.15)  # as far below
    skewed = -np.random.default_rng(1).exponential(size=(100, 1))  # without the image of most weight the value falls most
    shifted = interval_ends(np.array([0.5]), replicates, skewed, 0.95, "bca")[:, 0]
    assert shifted.sum() > 2 * 0.5 + 0.1  # the longer side is the upper one


@pytest.mark.parametrize(("degrees", "effect"), [(19, 0.001), (19, 0.4), (4, 0.001)])
def test_the_chance_of_not_being_above_zero_is_the_tail_where_the_interval_ends_there(degrees, effect):
    spread = np.random.default_rng(0).normal(size=(20_000, 1))
    jackknife = effect * np.tile([1.0, -1.0], 10)[:, None]
    if degrees == 4:
        jackknife[:2] *= 50  # a few images decide
    chances = []
    for value in np.linspace(1.0, 4.0, 31):
        given = np.array([value]), spread + value, jackknife
        chance = float(chance_not_above_zero(*given, 0.95)[0])
        assert chance < 0.024 or interval_ends(*given, 0.95, "widened")[0, 0] < 0.02
        assert chance > 0.026 or interval_ends(*given, 0.95, "widened")[0, 0] > -0.02
        chances.append(chance)
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.1
    assert chances[-1] < 0.025
    if (degrees, effect) == (19, 0.001):
        # without bias or widening by the jackknife: the normal tail, at Student's scale of 2.0930 / 1.9600
        assert chances[10] == pytest.approx(1 - NormalDist().cdf(2.0 * 1.9600 / 2.0930), abs=0.005)


def test_a_chance_without_a_value_is_nan_and_never_quite_nought():
    assert np.isnan(chance_not_above_zero(np.array([np.nan]), np.ones((9, 1)), np.ones((4, 1)), 0.95)).all()
    assert chance_not_above_zero(np.array([1.0]), np.linspace(0.5, 1.5, 99)[:, None], np.zeros((4, 1)), 0.95)[0] > 0.005


@pytest.mark.parametrize(("degrees", "expected"), [(4, 2.7764), (10, 2.2281), (30, 2.0423), (1e9, 1.95996)])
def test_student_s_quantile_is_that_of_the_tables(degrees, expected):
    assert student_quantile(0.975, degrees) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("method", ["widened", "bca"])
def test_the_interval_of_a_mean_covers_it_as_often_as_it_says(method):
    # the mean of skewed numbers of which the truth is known: 1
    generator, covered = np.random.default_rng(0), 0
    for draw in range(400):
        numbers = generator.exponential(size=40)
        value, replicates, jackknife = resample(lambda w, x=numbers: w @ x / w.sum(1), 40, 500, draw)
        low, high = interval_ends(value, replicates, jackknife, 0.95, method)
        covered += bool(low <= 1 <= high)
    assert 0.92 <= covered / 400 <= 0.98  # 0.95 +- 3 deviations of 0.011


def test_the_jackknife_leaves_out_each_image_or_group_once():
    _, _, left_out = resample(lambda weights: weights, 7, 2, 0)
    assert sorted(left_out.argmin(axis=1)) == list(range(7))
    assert (left_out.sum(axis=1) == 6).all()
    _, _, groups = resample(lambda weights: weights, 450, 2, 0)
    assert groups.shape == (200, 450)
    assert ((groups == 0).sum(axis=0) == 1).all()


def test_summaries_average_over_classes_with_ground_truth():
    table = np.array([[[0.5, np.nan, 0.1], [0.3, np.nan, 0.3]]])  # [B=1, T=2, K=3]
    expected = [[0.3, 0.4, np.nan, 0.2], [0.3, 0.5, np.nan, 0.1]]
    np.testing.assert_allclose(summarise(table, 0)[0], expected)
    assert np.isnan(summarise(np.full((1, 2, 3), np.nan), 0)).all()


@pytest.mark.parametrize("method", ["widened", "bca", "percentile", "basic"])
def test_intervals_hold_the_values_of_the_evaluation_and_follow_the_seed(random_images, method):
    matched = match_detections(random_images(0), 5)
    result = bootstrap_precision(matched, 200, method=method)
    table = average_precisions(matched)
    assert result.ap.value == pytest.approx(np.nanmean(table), abs=1e-12)
    assert result.ap50.value == pytest.approx(np.nanmean(table[0]), abs=1e-12)
    assert [interval.value for interval in result.ap50_by_class[:4]] == pytest.approx(table[0, :4], abs=1e-12)
    assert math.isnan(result.ap_by_class[4].low)  # "never" has no ground truth
    for interval in (result.ap, result.ap50, *result.ap_by_class[:4]):
        assert 0.01 < interval.high - interval.low < 0.6
        assert interval.low < interval.value < interval.high
    assert bootstrap_precision(matched, 200, method=method).ap == result.ap
    assert bootstrap_precision(matched, 200, seed=1, method=method).ap != result.ap
    assert bootstrap_precision(matched, 200, confidence=0.5, method=method).ap.high < result.ap.high


def test_a_perfect_detector_is_sure(sample_of):
    from dettoolkit.structures import Detections, EvaluatedImage

    images = []
    for number in range(5):
        truth = sample_of(number, [[0, 0, 50, 50]], [0])["original"]
        images.append(
            EvaluatedImage(number, "", (60, 60), truth, Detections(truth.boxes, truth.boxes[:, 0] + 0.9, truth.labels))
        )
    result = bootstrap_precision(match_detections(images, 1), 50)
    assert (result.ap.low, result.ap.value, result.ap.high) == pytest.approx((1, 1, 1))


def test_what_cannot_be_resampled_is_refused(random_images):
    images = random_images(0)
    with pytest.raises(EvaluationError, match="expected 2 images or more, got 1"):
        bootstrap_precision(match_detections(images[:1], 5))
    with pytest.raises(ValueError, match="num_replicates: expected 1 or more, got 0"):
        bootstrap_precision(match_detections(images, 5), 0)
    with pytest.raises(ValueError, match=r"confidence: expected more than 0 and less than 1, got 95"):
        bootstrap_precision(match_detections(images, 5), confidence=95)
    with pytest.raises(EvaluationError, match=r"not matched at an IoU of 0\.5; they were at 0\.75"):
        bootstrap_precision(match_detections(images, 5, iou_thresholds=(0.75,)), 10)
