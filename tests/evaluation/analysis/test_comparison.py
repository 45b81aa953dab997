"""Comparing two detectors: against pycocotools on images dealt out by hand, and with answers that are known beforehand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation.analysis.average_precision import average_precisions
from dettoolkit.evaluation.analysis.bootstrap import bootstrap_precision
from dettoolkit.evaluation.analysis.comparison import compare_precision, sign_flip_test
from dettoolkit.evaluation.analysis.matching import match_detections
from dettoolkit.evaluation.analysis.resampling import portions
from dettoolkit.structures import Detections

NUM_CLASSES = 5


def disturbed(images, pixels: float, seed: int = 0):
    """The same images with the boxes found a little elsewhere: a worse detector."""
    generator = torch.Generator().manual_seed(seed)
    return [
        dataclasses.replace(
            image,
            detections=Detections(
                image.detections.boxes + pixels * torch.randn(image.detections.boxes.shape, generator=generator),
                image.detections.scores,
                image.detections.labels,
            ),
        )
        for image in images
    ]


@pytest.fixture(scope="module")
def pair(random_images):
    images = random_images(0, 60)
    return match_detections(disturbed(images, 8.0), NUM_CLASSES), match_detections(images, NUM_CLASSES)


def test_a_better_detector_is_called_better_and_the_other_way_round_worse(pair):
    first, second = pair
    result = compare_precision(first, second, 300)
    expected = np.nanmean(average_precisions(second)) - np.nanmean(average_precisions(first))
    assert result.difference.ap.value == pytest.approx(expected, abs=1e-12)
    assert 0 < result.difference.ap.low < expected < result.difference.ap.high
    assert result.chance_no_better < 0.025
    assert result.p_value == pytest.approx(1 / 301)  # none of the 300 deals has such a difference
    words = result.in_words()
    assert words.startswith(f"B is better by {expected:.3f} AP (95 %: {result.difference.ap.low:.3f} to ")
    assert "; chance that it is no better: " in words
    assert words.endswith(" Sign-flip test: p = 0.00332.")
    back = compare_precision(second, first, 300)
    assert back.difference.ap.value == pytest.approx(-expected, abs=1e-12)
    assert back.difference.ap.high == pytest.approx(-result.difference.ap.low, abs=0.003)
    assert back.in_words().startswith(f"B is worse by {expected:.3f} AP (95 %: {back.difference.ap.low:.3f} to ")


def test_portions_of_the_draws_do_not_show(pair, monkeypatch):
    whole = compare_precision(*pair, 50, seed=3)
    monkeypatch.setattr("dettoolkit.evaluation.analysis.resampling._DRAWN", 200)  # three replicates of 60 images at a time
    np.testing.assert_equal(dataclasses.asdict(compare_precision(*pair, 50, seed=3)), dataclasses.asdict(whole))


def test_memory_does_not_grow_with_the_replicates():
    drawn = list(portions(1000, 10**6))
    assert sum(drawn) == 1000
    assert max(drawn) * 10**6 * 8 <= 2**27  # bytes
    assert list(portions(5, 10**9)) == [1] * 5


def test_each_run_has_the_interval_it_has_alone(pair):
    result = compare_precision(*pair, 100, seed=3)
    for part, matched in zip((result.first, result.second), pair, strict=True):
        alone = bootstrap_precision(matched, 100, seed=3)
        assert part.ap == alone.ap
        np.testing.assert_equal(
            [dataclasses.astuple(x) for x in part.ap50_by_class], [dataclasses.astuple(x) for x in alone.ap50_by_class]
        )
    # what makes an image hard makes it so for both: the difference is known better than both would let it be
    widths = [part.ap.high - part.ap.low for part in (result.first, result.second, result.difference)]
    assert widths[2] < 0.8 * np.hypot(widths[0], widths[1])


def test_the_same_detector_twice_is_no_difference(pair):
    result = compare_precision(pair[0], pair[0], 50)
    assert result.difference.ap == dataclasses.replace(result.difference.ap, value=0.0, low=0.0, high=0.0)
    assert result.chance_no_better == pytest.approx(0.5)
    assert result.p_value == 1.0
    assert result.in_words() == "A and B have the same AP on every resample: there is no difference."


def test_two_equally_good_detectors_leave_it_open(random_images):
    images = random_images(0, 60)
    pair = [match_detections(disturbed(images, 4.0, seed), NUM_CLASSES) for seed in (1, 2)]
    result = compare_precision(*pair, 200)
    assert result.difference.ap.low < 0 < result.difference.ap.high
    assert result.in_words().startswith("It is not clear which is better: B - A is ")
    assert result.p_value > 0.05


@pytest.mark.parametrize("seed", [2, 3, 4])
def test_images_are_dealt_out_as_if_results_had_been_swapped(random_images, seed):
    # every deal of three images by hand: p is the share of the deals at least as far apart as the results are
    images = [image for image in random_images(seed) if len(image.ground_truth)][:3]
    worse = disturbed(images, 6.0)
    apart = []
    for deal in np.ndindex(2, 2, 2):
        a = [(first, second)[swap] for first, second, swap in zip(worse, images, deal, strict=True)]
        b = [(second, first)[swap] for first, second, swap in zip(worse, images, deal, strict=True)]
        tables = [average_precisions(match_detections(each, NUM_CLASSES)) for each in (a, b)]
        apart.append(abs(np.nanmean(tables[1]) - np.nanmean(tables[0])))
    expected = np.mean([value >= apart[0] - 1e-12 for value in apart])
    pair = [match_detections(each, NUM_CLASSES) for each in (worse, images)]
    assert 0.2 <= expected < 1
    assert sign_flip_test(*pair, num_flips=4000) == pytest.approx(expected, abs=0.04)  # 5 deviations of sqrt(0.25 / 4000)


def test_other_images_or_thresholds_are_refused(random_images):
    images = random_images(0)
    matched = match_detections(images, NUM_CLASSES)
    with pytest.raises(
        EvaluationError, match=r"on the same images in the same order; they differ .* in 41 images, and .* in 40"
    ):
        compare_precision(matched, match_detections(images[:-1], NUM_CLASSES))
    tens = (0.5, *(0.51 + index / 100 for index in range(9)))
    with pytest.raises(EvaluationError, match="IoU thresholds differ"):
        compare_precision(matched, match_detections(images, NUM_CLASSES, iou_thresholds=tens))


def test_without_ground_truth_there_is_nothing_to_compare():
    from dettoolkit.structures import Annotations, EvaluatedImage

    images = [EvaluatedImage(number, "", (10, 10), Annotations.empty(), Detections.empty()) for number in range(3)]
    matched = match_detections(images, 2)
    result = compare_precision(matched, matched, 10)
    assert np.isnan(result.p_value)
    assert result.in_words() == "There is no ground truth that counts, so there is nothing to compare."


def test_with_few_images_nothing_is_said_of_how_sure_it_is(random_images):
    images = [image for image in random_images(2) if len(image.ground_truth)][:4]
    result = compare_precision(*(match_detections(each, NUM_CLASSES) for each in (disturbed(images, 9.0), images)), 20)
    assert result.in_words().startswith(f"B - A is {result.difference.ap.value:+.3f} AP. Fewer than 5 images have an object: ")
    assert np.isnan(result.chance_no_better)
