from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from dettoolkit.export.comparison import Differences, Rules, compare
from dettoolkit.structures import Detections

RULES = Rules(max_detections=4, iou_threshold=0.5)
A = (0.9, 0, [0, 0, 10, 10])
B = (0.7, 0, [50, 50, 70, 70])
C = (0.6, 1, [50, 50, 70, 70])


def detections(*rows: tuple[float, int, list[float]]) -> Detections:
    scores, labels, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(torch.tensor(boxes).reshape(-1, 4).float(), torch.tensor(scores), torch.tensor(labels).long())


def compared(one: list[Any], other: list[Any], rules: Rules = RULES) -> Differences:
    return compare([detections(*one)], [detections(*other)], rules)


def test_the_same_is_the_same() -> None:
    assert compared([A, B, C], [A, B, C]) == Differences(num_detections=3)
    assert compared([], []) == Differences()


def test_the_largest_differences_are_told() -> None:
    moved = (0.7000049, 0, [50, 50.0004, 70, 70])
    result = compared([A, B], [A, moved])
    assert result.problem is None
    assert result.box == pytest.approx(4e-4, abs=1e-5)
    assert result.score == pytest.approx(4.9e-6, abs=1e-7)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            (0.7, 0, [50, 50.5, 70, 70]),
            r"image 0: the box of detection 1 \(label 0, score 0\.7.*\) is 0\.5 apart, accepted is 0\.001",
        ),
        ((0.7002, 0, [50, 50, 70, 70]), r"the score of detection 1 .* is 0\.0002 apart, accepted is 1e-05"),
        ((0.7, 2, [50, 50, 70, 70]), r"image 0: only the model has detection 1 \(label 0, score 0\.700000, box \[50\.0, "),
        ((0.7, 0, [float("nan"), 50, 70, 70]), r"only the model has detection 1"),
    ],
)
def test_what_differs_is_told_with_its_place(other: Any, message: str) -> None:
    result = compared([A, B], [A, other])
    assert result.problem is not None

    assert re.search(message, result.problem)


def test_a_detection_of_one_alone_is_told() -> None:
    assert "only the model has detection 1" in str(compared([A, B], [A]).problem)
    assert "only the exported file has detection 0" in str(compared([], [A]).problem)


def test_order_may_differ_between_equal_scores_only() -> None:
    twin = (0.7, 0, [150, 50, 170, 70])
    assert compared([B, twin], [twin, B]).problem is None


def test_a_duplicate_at_the_very_threshold_may_stay_or_go() -> None:
    # 10 x 20 and 10 x 10 inside: IoU 0.5
    large, half = (0.9, 0, [0.0, 0, 10, 20]), (0.8, 0, [0.0, 0, 10, 10])
    result = compared([large, half], [large])
    assert (result.problem, result.num_rounded) == (None, 1)
    assert compared([large, (0.8, 1, half[2])], [large]).problem is not None  # of another class: NMS does not look at it
    agnostic = Rules(4, 0.5, by_class=False)
    assert compared([large, (0.8, 1, half[2])], [large], agnostic).problem is None
    assert compared([large, (0.8, 0, [0, 0, 10, 9])], [large]).problem is not None  # IoU 0.45
    assert compared([large, half], [large], Rules(4, None)).problem is not None


def test_of_two_overlapping_with_equal_scores_either_may_stay() -> None:
    one, other = (0.8, 0, [0.0, 0, 10, 10]), (0.8, 0, [2.0, 0, 12, 10])  # IoU 80 / 120
    result = compared([A, one], [A, other])
    assert (result.problem, result.num_rounded) == (None, 2)
    assert compared([A, one], [A, (0.7, 0, other[2])]).problem is not None


def test_what_a_full_list_has_no_room_for_is_no_difference() -> None:
    more = [(0.5 - index / 10, 0, [100.0 * index, 0, 100 * index + 10, 10]) for index in range(1, 4)]
    rules = Rules(3, 0.5)
    large, half = (0.9, 0, [0.0, 0, 10, 20]), (0.8, 0, [0.0, 0, 10, 10])
    result = compared([large, half, more[0]], [large, more[0], more[1]], rules)
    assert (result.problem, result.num_rounded) == (None, 2)
