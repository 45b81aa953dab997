"""Greedy non-maximum suppression."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dettoolkit.modeling.dense.nms import BatchedNMS, ClassAgnosticNMS
from dettoolkit.structures import Detections

# the second overlaps the first by 0.8, the third lies apart
BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [50.0, 50.0, 60.0, 60.0]])


def keep(nms: Any, scores: list[float], labels: list[int]) -> list[int]:
    found = nms(Detections(BOXES, torch.tensor(scores), torch.tensor(labels)))
    return [scores.index(pytest.approx(score)) for score in found.scores.tolist()]


def test_a_box_gives_way_to_a_better_one_of_its_class() -> None:
    assert keep(BatchedNMS(0.5), [0.3, 0.9, 0.6], [1, 1, 1]) == [1, 2]


def test_boxes_of_other_classes_stay() -> None:
    assert keep(BatchedNMS(0.5), [0.3, 0.9, 0.6], [0, 1, 1]) == [1, 2, 0]


def test_class_agnostic_does_not_ask_for_the_class() -> None:
    assert keep(ClassAgnosticNMS(0.5), [0.3, 0.9, 0.6], [0, 1, 1]) == [1, 2]


@pytest.mark.parametrize("nms", [BatchedNMS, ClassAgnosticNMS])
def test_overlap_up_to_the_threshold_is_allowed(nms: Any) -> None:
    assert keep(nms(0.81), [0.3, 0.9, 0.6], [0, 0, 0]) == [1, 2, 0]


@pytest.mark.parametrize("nms", [BatchedNMS, ClassAgnosticNMS])
def test_no_boxes(nms: Any) -> None:
    assert len(nms()(Detections.empty())) == 0


@pytest.mark.parametrize("nms", [BatchedNMS, ClassAgnosticNMS])
@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_threshold_that_is_no_overlap_is_refused(nms: Any, threshold: float) -> None:
    with pytest.raises(ValueError, match=rf"iou_threshold expects a number in 0\.\.1, got {threshold}"):
        nms(threshold)
