"""Ends of intervals: worked by hand, by the formulas of tables, and by how often they cover what is known."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from dettoolkit.evaluation.analysis.bootstrap import resample
from dettoolkit.evaluation.analysis.intervals import chance_not_above_zero, interval_ends, student_quantile


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


def test_replicates_that_are_nan_are_left_out_and_without_any_there_is_no_interval():
    replicates = np.arange(101.0)[:, None]
    with_gaps = np.concatenate([replicates, np.full((7, 1), np.nan)])
    flat = np.zeros((4, 1))
    for method in ("widened", "percentile"):
        plain = interval_ends(np.array([45.0]), replicates, flat, 0.9, method)
        np.testing.assert_array_equal(interval_ends(np.array([45.0]), with_gaps, flat, 0.9, method), plain)
    nothing = np.full((3, 1), np.nan)
    assert np.isnan(interval_ends(np.array([45.0]), nothing, flat, 0.9, "widened")).all()
    assert np.isnan(chance_not_above_zero(np.array([45.0]), nothing, flat, 0.9)).all()
