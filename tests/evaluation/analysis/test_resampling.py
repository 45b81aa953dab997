"""AP of resampled images against pycocotools on images that are really there several times."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from dettoolkit.evaluation.analysis.average_precision import RECALLS, average_precisions
from dettoolkit.evaluation.analysis.matching import match_detections
from dettoolkit.evaluation.analysis.resampling import ResampledPrecision, draw_weights, recalls_reached
from dettoolkit.structures import Detections

NUM_CLASSES = 5


def with_distinct_scores(images):
    """The same images; in one image, no two scores are equal: copies of such an image would take turns in their order."""
    generator = torch.Generator().manual_seed(0)
    distinct = []
    for image in images:
        found = image.detections
        scores = found.scores * 0.9 + 0.05 * torch.rand(len(found), generator=generator)
        order = scores.argsort(descending=True)
        found = Detections(found.boxes[order], scores[order], found.labels[order])
        distinct.append(dataclasses.replace(image, detections=found))
    return distinct


@pytest.mark.parametrize("seed", range(3))
def test_a_resample_equals_pycocotools_on_repeated_images(random_images, by_pycocotools, seed):
    images = with_distinct_scores(random_images(seed))
    weights = draw_weights(len(images), 3, np.random.default_rng(seed))
    result = ResampledPrecision(match_detections(images, NUM_CLASSES))(weights)
    for row, counts in enumerate(weights.astype(int)):
        assert counts.max() > 1
        repeated = [image for image, count in zip(images, counts, strict=True) for _ in range(count)]
        precision = by_pycocotools(repeated, NUM_CLASSES).eval["precision"][..., 0, 0]  # [T, R, K]
        expected = np.where((precision > -1).all(axis=1), precision.mean(axis=1), np.nan)
        np.testing.assert_allclose(result[row], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_each_image_once_is_the_ap_of_all_and_none_without_an_object_is_nan(random_images, seed):
    matched = match_detections(random_images(seed), NUM_CLASSES)  # with many equal scores
    precision = ResampledPrecision(matched)
    np.testing.assert_allclose(precision(np.ones((1, 41)))[0], average_precisions(matched), rtol=0, atol=1e-12)
    only_empty = np.zeros((1, 41))
    only_empty[0, -1] = 1.0
    assert np.isnan(precision(only_empty)).all()


def test_recalls_are_reached_as_in_a_search_among_them():
    num_truth = np.arange(1, 1501.0)[:, None]
    right = np.minimum(np.arange(0, 1501.0), num_truth)
    expected = np.searchsorted(RECALLS, right / num_truth, side="right")
    np.testing.assert_array_equal(recalls_reached(right, num_truth), expected)


def test_blocks_of_replicates_do_not_show(random_images, monkeypatch):
    precision = ResampledPrecision(match_detections(random_images(0), NUM_CLASSES))
    weights = draw_weights(41, 10, np.random.default_rng(0))
    whole = precision(weights)
    monkeypatch.setattr("dettoolkit.evaluation.analysis.resampling._CELLS", 300)
    np.testing.assert_array_equal(precision(weights), whole)


def test_images_taken_twice_count_as_two(random_images):
    images = random_images(1)
    chosen = np.array([5, 2, 2, 40, 11])
    taken = match_detections(images, NUM_CLASSES).of_images(chosen)
    expected = match_detections([images[number] for number in chosen], NUM_CLASSES)
    for field in dataclasses.fields(expected):
        np.testing.assert_array_equal(getattr(taken, field.name), getattr(expected, field.name))


def test_as_many_images_are_drawn_as_there_are_each_as_likely():
    weights = draw_weights(20, 5000, np.random.default_rng(0))
    assert (weights.sum(axis=1) == 20).all()
    # a mean of 5000 counts of variance 0.95 has a deviation of 0.014
    np.testing.assert_allclose(weights.mean(axis=0), 1.0, atol=0.06)
    assert weights.var() == pytest.approx(0.95, abs=0.02)  # binomial: 20 * 0.05 * 0.95
