"""Bootstrap of AP: values as in the evaluation, draws as they should be, and what cannot be resampled."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation.analysis.average_precision import average_precisions
from dettoolkit.evaluation.analysis.bootstrap import bootstrap_precision, resample, summarise
from dettoolkit.evaluation.analysis.matching import match_detections
from dettoolkit.structures import Detections, EvaluatedImage


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


def perfect(sample_of, labels: list[list[int]]):
    """Images in which just what is there is found; the objects of an image by label."""
    images = []
    for number, of_image in enumerate(labels):
        truth = sample_of(number, [[60.0 * k, 0, 60.0 * k + 50, 50] for k in range(len(of_image))], of_image)["original"]
        images.append(
            EvaluatedImage(number, "", (60, 300), truth, Detections(truth.boxes, truth.labels * 0 + 0.9, truth.labels))
        )
    return match_detections(images, 2)


def test_a_perfect_detector_is_sure(sample_of):
    result = bootstrap_precision(perfect(sample_of, [[0], [0], [0], [0], [0]]), 50)
    assert (result.ap.low, result.ap.value, result.ap.high) == pytest.approx((1, 1, 1))


def test_where_fewer_than_five_images_have_an_object_there_is_no_interval(sample_of):
    result = bootstrap_precision(perfect(sample_of, [[0, 1], [0, 1], [0, 1], [0, 1, 1], [0], []]), 50)
    assert result.ap_by_class[0].low == pytest.approx(1)  # five images
    assert result.ap_by_class[1].value == result.ap50_by_class[1].value == pytest.approx(1)  # five objects in four images
    assert math.isnan(result.ap_by_class[1].low)
    assert math.isnan(result.ap50_by_class[1].high)
    few = bootstrap_precision(perfect(sample_of, [[0], [0, 1], [1], [1], [], []]), 50)
    assert math.isnan(few.ap.low)


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
