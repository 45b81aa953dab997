"""What the collector takes, refuses and merges."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation import Collector
from dettoolkit.evaluation.collector import merge
from dettoolkit.structures import Detections


@pytest.fixture
def collector() -> Collector:
    return Collector(("cat", "dog"))


def test_rows_hold_what_came_in_the_pixels_it_came_in(collector, sample_of, detections_of):
    sample = sample_of("b", [[1, 2, 11, 22]], [1], [True], size=(30, 40))
    sample["original_areas"] = torch.tensor([150.5])
    collector.add([sample], [detections_of([[0, 1, 2, 3], [4, 5, 6, 7]], [0.75, 0.5], [1, 0])])
    collector.add([sample_of("a", [[0, 0, 3, 4]], [0])], [Detections.empty()])
    collected = collector.reduce(lambda collected: collected)
    assert collected.image_ids == ["a", "b"]  # sorted
    assert collected.image_sizes.tolist() == [[300, 400], [30, 40]]
    assert collected.truth["image"].tolist() == [0, 1]
    assert collected.truth["area"].tolist() == [12.0, 150.5]  # of the box (3 x 4); as given
    assert collected.truth["ignore"].tolist() == [False, True]
    assert collected.found["image"].tolist() == [1, 1]
    assert collected.found["box"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert collected.found["score"].tolist() == [0.75, 0.5]
    assert collected.found["label"].tolist() == [1, 0]


def test_an_image_that_comes_again_is_not_counted_again(collector, sample_of, detections_of):
    sample, found = sample_of(1, [[0, 0, 9, 9]], [0]), detections_of([[0, 0, 9, 9]], [0.5], [0])
    collector.add([sample, sample], [found, found])
    collector.add([sample], [Detections.empty()])
    collected = collector.reduce(lambda collected: collected)
    assert (len(collected.image_ids), len(collected.truth), len(collected.found)) == (1, 1, 1)


def test_merging_shards_keeps_the_first_of_equal_images_and_forgets_who_had_what(random_set):
    given = random_set(0)
    pairs = list(zip(given.samples, given.detections, strict=True))

    def shard(part):
        collector = Collector(given.info.class_names)
        collector.add(*map(list, zip(*part, strict=True)))
        return collector.shard()

    whole = merge([shard(pairs)])
    merged = merge([shard(pairs[25:]), shard(pairs[:25] + pairs[25:29])])  # in another order, four images twice
    assert merged.image_ids == whole.image_ids == sorted(sample["image_id"] for sample in given.samples)
    np.testing.assert_array_equal(merged.image_sizes, whole.image_sizes)
    np.testing.assert_array_equal(merged.truth, whole.truth)
    np.testing.assert_array_equal(merged.found, whole.found)


def test_half_precision_and_gradients_are_taken(collector, sample_of):
    boxes = torch.tensor([[0.0, 1.0, 2.0, 3.5]], dtype=torch.bfloat16, requires_grad=True)
    scores = torch.tensor([0.5], dtype=torch.float16)
    collector.add([sample_of(1, [], [])], [Detections(boxes, scores, torch.tensor([1]))])
    assert collector.reduce(lambda collected: collected.found["box"].tolist()) == [[0.0, 1.0, 2.0, 3.5]]


def test_a_sample_without_ground_truth_is_refused_by_name(collector, sample_of):
    sample = sample_of(17, [], [])
    del sample["original"]
    message = "image 17 has no ground truth: expected 'original' in the sample (test pipelines set it), got image_id, file_name"
    with pytest.raises(EvaluationError, match=re.escape(message)):
        collector.add([sample], [Detections.empty()])


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_outside_of_the_classes_is_refused(collector, sample_of, detections_of, label):
    message = re.escape(f"image 3: label {label} among its detections; accepted: 0..1 (cat, dog)")
    with pytest.raises(EvaluationError, match=message):
        collector.add([sample_of(3, [], [])], [detections_of([[0, 0, 1, 1]], [0.5], [label])])
    with pytest.raises(EvaluationError, match=f"image 3: label {label} among its annotations"):
        collector.add([sample_of(3, [[0, 0, 1, 1]], [label])], [Detections.empty()])


@pytest.mark.parametrize(("box", "score"), [([0, 0, float("nan"), 1], 0.5), ([0, 0, 1, 1], float("nan"))])
def test_a_number_that_is_not_finite_is_refused(collector, sample_of, detections_of, box, score):
    with pytest.raises(EvaluationError, match="image 3: a number among its detections is not finite"):
        collector.add([sample_of(3, [], [])], [detections_of([box], [score], [0])])


def test_a_refused_image_leaves_nothing_behind(collector, sample_of, detections_of):
    with pytest.raises(EvaluationError):
        collector.add([sample_of(3, [[0, 0, 1, 1]], [0])], [detections_of([[0, 0, 1, 1]], [0.5], [9])])
    collector.add([sample_of(3, [], [])], [Detections.empty()])
    assert collector.reduce(lambda collected: len(collected.truth)) == 0


def test_lists_of_different_lengths_are_refused(collector, sample_of):
    with pytest.raises(EvaluationError, match="expected the detections of each image, got 1 images and 0"):
        collector.add([sample_of(1, [], [])], [])


def test_no_images_are_refused(collector):
    with pytest.raises(EvaluationError, match="nothing to evaluate: no image came"):
        collector.reduce(len)


def test_a_shard_without_images_merges_into_nothing(random_set):
    given = random_set(1)
    collector, idle = Collector(given.info.class_names), Collector(given.info.class_names)
    collector.add(given.samples, given.detections)
    whole = collector.reduce(lambda collected: collected)
    merged = merge([idle.shard(), collector.shard()])
    assert merged.image_ids == whole.image_ids
    np.testing.assert_array_equal(merged.found, whole.found)
