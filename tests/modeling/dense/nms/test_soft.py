"""Soft-NMS against the paper's algorithm, written out in plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dettoolkit.modeling.dense.nms import SoftNMS
from dettoolkit.structures import Detections

# the second lies inside the first with an IoU of 0.8, the third apart
BOXES = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 8.0], [50.0, 50.0, 60.0, 60.0]])


def candidates(scores: list[float], labels: list[int]) -> Detections:
    return Detections(BOXES, torch.tensor(scores), torch.tensor(labels))


def test_gaussian_lowers_by_the_square_of_the_overlap() -> None:
    found = SoftNMS(sigma=0.5)(candidates([0.9, 0.8, 0.6], [1, 1, 1]))
    expected = [0.9, 0.6, 0.8 * math.exp(-(0.8**2) / 0.5)]
    assert found.scores.tolist() == pytest.approx(expected)
    assert found.boxes.tolist() == BOXES[[0, 2, 1]].tolist()


def test_linear_lowers_by_the_overlap_above_the_threshold() -> None:
    assert SoftNMS("linear", iou_threshold=0.5)(candidates([0.9, 0.8, 0.6], [1, 1, 1])).scores.tolist() == pytest.approx(
        [0.9, 0.6, 0.8 * (1 - 0.8)]
    )
    assert SoftNMS("linear", iou_threshold=0.8)(candidates([0.9, 0.8, 0.6], [1, 1, 1])).scores.tolist() == pytest.approx(
        [0.9, 0.8, 0.6]
    )


def test_other_classes_are_left_alone_unless_class_agnostic() -> None:
    given = candidates([0.9, 0.8, 0.6], [1, 0, 1])
    assert SoftNMS()(given).scores.tolist() == pytest.approx([0.9, 0.8, 0.6])
    assert SoftNMS(class_agnostic=True)(given).scores.tolist() == pytest.approx([0.9, 0.6, 0.8 * math.exp(-1.28)])


def test_what_falls_below_the_threshold_is_dropped() -> None:
    assert SoftNMS("linear", score_threshold=0.2)(candidates([0.9, 0.8, 0.6], [1, 1, 1])).scores.tolist() == pytest.approx(
        [0.9, 0.6]
    )


def test_no_candidates() -> None:
    assert len(SoftNMS()(Detections.empty())) == 0


@pytest.mark.parametrize("method", ["gaussian", "linear"])
def test_many_boxes_as_by_the_paper(method: str) -> None:
    random = np.random.default_rng(0)
    corners = random.uniform(0, 60, (80, 2))
    boxes = np.concatenate([corners, corners + random.uniform(10, 40, (80, 2))], axis=1)
    scores, labels = random.uniform(0.05, 1, 80), random.integers(0, 3, 80)
    found = SoftNMS(method)(Detections(torch.tensor(boxes).float(), torch.tensor(scores).float(), torch.tensor(labels)))
    expected = paper(boxes, scores, labels, method)
    assert [score for score, _ in expected] == pytest.approx(found.scores.tolist(), abs=1e-5)
    assert found.labels.tolist() == [int(labels[index]) for _, index in expected]


def paper(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, method: str) -> list[tuple[float, int]]:
    """The pseudo code of figure 2, in float64."""
    left, found = {index: float(score) for index, score in enumerate(scores)}, []
    while left:
        best = max(left, key=lambda index: left[index])
        found.append((left.pop(best), best))
        for other in list(left):
            low, high = np.maximum(boxes[best, :2], boxes[other, :2]), np.minimum(boxes[best, 2:], boxes[other, 2:])
            common = float(np.prod(np.clip(high - low, 0, None)))
            areas = [float(np.prod(boxes[index, 2:] - boxes[index, :2])) for index in (best, other)]
            overlap = common / (sum(areas) - common) if labels[best] == labels[other] else 0.0
            factor = math.exp(-(overlap**2) / 0.5) if method == "gaussian" else 1 - overlap if overlap > 0.3 else 1.0
            left[other] *= factor
            if left[other] < 0.001:
                del left[other]
    return found


@pytest.mark.parametrize("bad", [{"sigma": 0.0}, {"score_threshold": 1.0}, {"iou_threshold": 1.5}])
def test_numbers_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expect"):
        SoftNMS(**bad)  # type: ignore[arg-type]
