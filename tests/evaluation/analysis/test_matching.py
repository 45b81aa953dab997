"""Matching against pycocotools, image by image and box by box, and against rules worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation.analysis.average_precision import average_precision, average_precisions
from dettoolkit.evaluation.analysis.matching import COCO_IOU_THRESHOLDS, match_detections
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

NUM_CLASSES = 5


def image_of(boxes, labels, found, scores, found_labels, ignore=None) -> EvaluatedImage:
    truth = Annotations(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor([False] * len(boxes) if ignore is None else ignore, dtype=torch.bool),
    )
    detections = Detections(
        torch.tensor(found, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(found_labels, dtype=torch.int64),
    )
    return EvaluatedImage(1, "1.jpg", (300, 400), truth, detections)


@pytest.mark.parametrize("max_detections", [100, 3])
@pytest.mark.parametrize("seed", range(4))
def test_every_match_equals_pycocotools(random_images, by_pycocotools, seed, max_detections):
    images = random_images(seed)
    matched = match_detections(images, NUM_CLASSES, max_detections=max_detections)
    evaluation = by_pycocotools(images, NUM_CLASSES, max_detections)
    truth_starts = np.cumsum([1] + [len(image.ground_truth) for image in images])
    found_starts = np.cumsum([1] + [len(image.detections) for image in images])
    compared = 0
    for result in filter(None, evaluation.evalImgs):
        image, label = result["image_id"] - 1, result["category_id"] - 1
        rows = np.flatnonzero((matched.image == image) & (matched.label == label))
        np.testing.assert_array_equal(matched.index[rows] + found_starts[image], np.array(result["dtIds"], dtype=np.int64))
        expected = np.where(result["dtMatches"] > 0, result["dtMatches"] - truth_starts[image], -1)
        np.testing.assert_array_equal(matched.truth[:, rows], expected)
        np.testing.assert_array_equal(matched.ignored[:, rows], result["dtIgnore"])
        assert matched.num_truth[image, label] == np.count_nonzero(np.array(result["gtIgnore"]) == 0)
        compared += len(rows)
    assert compared == len(matched.score)
    assert matched.ignored.any()
    assert 0.05 < matched.is_true_positive.mean() < 0.9  # the comparison says something


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_equals_pycocotools_by_class_and_threshold(random_images, by_pycocotools, seed):
    images = random_images(seed)
    precision = by_pycocotools(images, NUM_CLASSES).eval["precision"][..., 0, 0]  # [T, R, K]
    expected = np.where((precision > -1).all(axis=1), precision.mean(axis=1), np.nan)
    result = average_precisions(match_detections(images, NUM_CLASSES))
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)
    assert np.isnan(result[:, 4]).all()  # "never" has no ground truth
    assert not np.isnan(result[:, :4]).any()


def test_other_thresholds_and_rows_in_the_order_of_scores():
    # found twice: the better box has the lower score, and gets the object only where the first falls short
    image = image_of([[0, 0, 100, 100]], [0], [[0, 0, 100, 100], [0, 0, 100, 60]], [0.5, 0.9], [0, 0])
    matched = match_detections([image], 1, iou_thresholds=(0.5, 0.75))
    assert matched.index.tolist() == [1, 0]
    assert matched.truth.tolist() == [[0, -1], [-1, 0]]
    assert matched.iou_thresholds == (0.5, 0.75)


def test_of_equal_overlaps_the_last_object_is_taken_and_objects_come_before_crowds():
    boxes = [[0, 0, 40, 40], [0, 0, 100, 100], [0, 0, 40, 40], [0, 0, 40, 40]]
    found = [[0, 0, 40, 40]] * 4
    image = image_of(boxes, [0] * 4, found, [0.9, 0.8, 0.7, 0.6], [0] * 4, ignore=[False, True, False, False])
    matched = match_detections([image], 1, iou_thresholds=(0.5,))
    assert matched.truth.tolist() == [[3, 2, 0, 1]]
    assert matched.ignored.tolist() == [[False, False, False, True]]
    assert matched.num_truth.tolist() == [[3]]


def test_an_overlap_of_exactly_the_threshold_reaches_it_and_other_classes_do_not_count():
    image = image_of([[0, 0, 100, 100]], [1], [[0, 0, 100, 50], [0, 0, 100, 100]], [0.4, 0.9], [1, 0])
    matched = match_detections([image], 2, iou_thresholds=(0.5, 1.0))
    assert matched.label.tolist() == [0, 1]
    assert matched.truth.tolist() == [[-1, 0], [-1, -1]]


def test_a_false_alarm_turned_inside_out_counts_neither_way():
    matched = match_detections([image_of([], [], [[50, 0, 10, 40], [0, 0, 40, 40]], [0.9, 0.8], [0, 0])], 1)
    assert matched.ignored[0].tolist() == [True, False]
    assert matched.truth[0].tolist() == [-1, -1]


def test_no_images_give_empty_arrays():
    matched = match_detections([], 3)
    assert matched.truth.shape == matched.ignored.shape == (10, 0)
    assert matched.num_truth.shape == (0, 3)
    assert matched.iou_thresholds == pytest.approx(COCO_IOU_THRESHOLDS)


@pytest.mark.parametrize(("labels", "found_labels", "kind"), [([3], [0], "annotations"), ([0], [-1], "detections")])
def test_labels_outside_are_refused(labels, found_labels, kind):
    image = image_of([[0, 0, 9, 9]], labels, [[0, 0, 9, 9]], [0.5], found_labels)
    with pytest.raises(EvaluationError, match=rf"image 1: label -?\d among its {kind}; accepted: 0\.\.2"):
        match_detections([image], 3)


def test_average_precision_worked_by_hand():
    # right, wrong, right of 2 objects: precision 1 up to recall 0.5 (51 recalls), 2/3 up to 1 (50 recalls)
    result = average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 2)
    assert result == pytest.approx((51 + 50 * 2 / 3) / 101, abs=1e-15)
    # the wrong one twice, the last one not at all, and one object left out with it: precision 1 up to recall 1
    assert average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 1, np.array([1, 2, 0])) == 1.0
    assert average_precision(np.array([]), np.array([], dtype=bool), 2) == 0.0
    assert np.isnan(average_precision(np.array([0.5]), np.array([False]), 0))


def test_weights_are_the_same_as_repeating():
    generator = np.random.default_rng(0)
    scores, right = generator.random(200), generator.random(200) < 0.5
    weights = generator.poisson(1.0, 200)
    num_truth = int((right * weights).sum()) + 20
    expected = average_precision(scores.repeat(weights), right.repeat(weights), num_truth)
    assert average_precision(scores, right, num_truth, weights) == pytest.approx(expected, abs=1e-15)
