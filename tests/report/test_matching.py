"""Right, false and missed boxes."""

from __future__ import annotations

import torch

from dettoolkit.report.matching import FALSE, IGNORED, match_detections
from dettoolkit.structures import Annotations, Detections


def _truth(boxes: list[list[float]], labels: list[int] | None = None, ignore: list[bool] | None = None) -> Annotations:
    count = len(boxes)
    return Annotations(
        torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels or [0] * count), torch.tensor(ignore or [False] * count)
    )


def _found(boxes: list[list[float]], scores: list[float], labels: list[int] | None = None) -> Detections:
    return Detections(torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores), torch.tensor(labels or [0] * len(boxes)))


BOX = [0.0, 0.0, 10.0, 10.0]
NEAR = [0.0, 0.0, 10.0, 8.0]  # IoU 0.8 with BOX
FAR = [0.0, 0.0, 10.0, 4.0]  # IoU 0.4 with BOX


def test_the_higher_score_takes_the_box_and_the_other_is_false() -> None:
    outcome = match_detections(_truth([BOX]), _found([NEAR, BOX], [0.75, 0.5]))
    assert outcome.matched == [0, FALSE]
    assert outcome.found_from == [0.75]
    assert [round(overlap, 3) for overlap in outcome.overlaps] == [0.8, 1.0]


def test_a_box_of_another_class_or_of_too_little_overlap_is_missed() -> None:
    outcome = match_detections(_truth([BOX]), _found([BOX, FAR], [0.75, 0.5], labels=[1, 0]))
    assert outcome.matched == [FALSE, FALSE]
    assert outcome.found_from == [None]


def test_a_detection_takes_the_next_best_box_that_is_free() -> None:
    outcome = match_detections(_truth([BOX, NEAR]), _found([BOX, BOX], [0.75, 0.5]))
    assert outcome.matched == [0, 1]


def test_a_detection_in_an_ignore_region_counts_as_nothing_and_the_region_is_not_missed() -> None:
    truth = _truth([[0.0, 0.0, 100.0, 100.0]], ignore=[True])
    detections = _found([BOX, [200.0, 0.0, 210.0, 10.0]], [0.75, 0.5])
    outcome = match_detections(truth, detections)
    assert outcome.matched == [IGNORED, FALSE]
    assert outcome.num_errors(truth, detections, 0.3) == 1  # the false one outside


def test_errors_at_a_score_are_what_matching_at_that_score_alone_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(30, 2, generator=generator) * 30
    truth = Annotations(torch.cat([corner, corner + 20], 1), torch.arange(30) % 2, torch.arange(30) % 7 == 0)
    shift = torch.rand(40, 2, generator=generator) * 6
    boxes = torch.cat([corner, corner[:10]])
    boxes = torch.cat([boxes + shift, boxes + shift + 20], 1)
    detections = Detections(boxes, torch.rand(40, generator=generator), torch.arange(40) % 2)
    whole = match_detections(truth, detections)
    errors = []
    for score in (0.0, 0.3, 0.6, 0.9):
        alone = detections.above(score)
        errors.append(whole.num_errors(truth, detections, score))
        assert errors[-1] == match_detections(truth, alone).num_errors(truth, alone, 0.0)
    assert len(set(errors)) > 1


def test_nothing_found_and_nothing_there() -> None:
    truth, detections = _truth([BOX]), _found([BOX], [0.5])
    assert match_detections(truth, Detections.empty()).num_errors(truth, Detections.empty(), 0.5) == 1
    assert match_detections(Annotations.empty(), detections).num_errors(Annotations.empty(), detections, 0.5) == 1
    assert match_detections(Annotations.empty(), Detections.empty()).matched == []
