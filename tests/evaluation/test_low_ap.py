"""Each usual mistake, made on purpose, is recognised; and none where none was made."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from dettoolkit.evaluation import Collector, explain_low_ap
from dettoolkit.structures import Detections

NAMES = ("cat", "dog", "cow")
SIZE = torch.tensor([400.0, 300.0, 400.0, 300.0])


@pytest.fixture
def explain(sample_of):
    """Explain detections made from the ground truth of 20 images by a function of its boxes and labels."""

    def explained(change, score=0.9):
        generator = np.random.default_rng(0)
        collector = Collector(NAMES)
        for image_id in range(20):
            corners, sides = generator.uniform(10, 180, (5, 2)), generator.uniform(20, 90, (5, 2))
            sample = sample_of(image_id, np.hstack([corners, corners + sides]).tolist(), generator.integers(0, 3, 5).tolist())
            boxes, labels = change(sample["original"].boxes, sample["original"].labels)
            collector.add([sample], [Detections(boxes, torch.full((len(boxes),), score), labels)])
        return collector.reduce(lambda collected: explain_low_ap(collected, NAMES))

    return explained


def xywh(boxes):
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1)


def cxcywh(boxes):
    return torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], dim=1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (xywh, "fit when read as x, y, width, height: detections must be x1, y1, x2, y2"),
        (cxcywh, "fit when read as centre, width, height"),
        (lambda boxes: boxes[:, [1, 0, 3, 2]], "fit when read as y, x, y, x"),
        (lambda boxes: boxes / SIZE, "fit when read as fractions of the image's width and height"),
        (lambda boxes: boxes * 2.5, "fit when multiplied by about 0.40: they may still be in the pixels of the resized image"),
        (lambda boxes: boxes + torch.tensor([80.0, -60.0] * 2), r"fit when moved by about \(-80, 60\) pixels"),
    ],
)
def test_boxes_in_another_form_are_recognised(explain, change, words):
    reasons = explain(lambda boxes, labels: (change(boxes), labels))
    assert len(reasons) == 1
    assert re.search(words, reasons[0])
    assert int(re.search(r"covers (\d+)%", reasons[0])[1]) >= 90


def test_permuted_classes_are_recognised_and_named(explain):
    reasons = explain(lambda boxes, labels: (boxes, (labels + 1) % 3))
    assert len(reasons) == 1
    assert re.search(r"100% of the ground truth is covered, \d% by its own class", reasons[0])
    assert "'cat' is found as 'dog'; 'dog' is found as 'cow'; 'cow' is found as 'cat'" in reasons[0]


def test_no_detections_are_said(explain):
    nothing = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    assert "There are no detections" in explain(lambda boxes, labels: nothing)[0]


def test_low_scores_are_said_beside_the_other_reason(explain):
    reasons = explain(lambda boxes, labels: (boxes * 2.5, labels), score=0.01)
    assert len(reasons) == 2
    assert "The highest score of 100 detections is 0.01" in reasons[1]


def test_boxes_anywhere_are_no_usual_mistake(explain):
    torch.manual_seed(0)

    def anywhere(boxes, labels):
        corners = torch.rand(30, 2) * 200
        return torch.cat([corners, corners + 4], dim=1), torch.zeros(30, dtype=torch.int64)

    reasons = explain(anywhere)
    assert len(reasons) == 1
    assert "No usual mistake is recognised: detections of the right class cover 0%" in reasons[0]


def test_good_boxes_of_the_right_class_are_no_usual_mistake(explain):
    assert "of the right class cover 100%" in explain(lambda boxes, labels: (boxes, labels))[0]


def test_detections_of_other_images_are_recognised(sample_of, detections_of):
    collector = Collector(NAMES)
    found = detections_of([[0, 0, 9, 9]], [0.9], [0])
    collector.add([sample_of(1, [[0, 0, 9, 9]], [0]), sample_of(2, [], [])], [Detections.empty(), found])
    reasons = collector.reduce(lambda collected: explain_low_ap(collected, NAMES))
    assert len(reasons) == 1
    assert "disjoint" in reasons[0]


def test_crowds_alone_are_no_ground_truth(sample_of, detections_of):
    collector = Collector(NAMES)
    collector.add([sample_of(1, [[0, 0, 9, 9]], [0], [True])], [detections_of([[0, 0, 9, 9]], [0.9], [0])])
    assert collector.reduce(lambda collected: explain_low_ap(collected, NAMES)) == [
        "There is no ground truth that counts, so nothing can be found."
    ]
