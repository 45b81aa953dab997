"""What became of each box, by the rules of the analysis."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation.analysis import analyse, find_errors, match_detections
from dettoolkit.evaluation.analysis.error_types import ERROR_TYPES
from dettoolkit.report.box_outcomes import OUTCOMES, box_outcomes
from dettoolkit.structures import Annotations, Detections, EvaluatedImage, ScoreThresholds

BOX = (0.0, 0.0, 10.0, 10.0)
NEAR = (0.0, 0.0, 10.0, 4.0)  # IoU 0.4 with BOX
FAR = (50.0, 50.0, 60.0, 60.0)


def _image(
    truth: list[tuple[tuple[float, ...], int]], found: list[tuple[tuple[float, ...], int, float]], crowd: bool = False
) -> EvaluatedImage:
    annotations = Annotations(
        torch.tensor([box for box, _ in truth]).reshape(-1, 4),
        torch.tensor([label for _, label in truth], dtype=torch.int64),
        torch.full((len(truth),), crowd),
    )
    detections = Detections(
        torch.tensor([box for box, _, _ in found]).reshape(-1, 4),
        torch.tensor([score for _, _, score in found]),
        torch.tensor([label for _, label, _ in found], dtype=torch.int64),
    )
    return EvaluatedImage(1, "a.jpg", (100, 100), annotations, detections)


def test_each_way_to_be_right_or_wrong_has_its_name_its_object_and_its_overlap() -> None:
    image = _image(
        [(BOX, 0)],
        [(BOX, 0, 0.9), (BOX, 0, 0.8), (NEAR, 0, 0.7), (BOX, 1, 0.6), (NEAR, 1, 0.5), (FAR, 0, 0.4)],
    )
    outcomes = box_outcomes([image], ["a", "b"])
    names = [OUTCOMES[kind] for kind in outcomes.outcome]
    assert names == ["right", "duplicate", "localisation", "classification", "both", "background"]
    assert outcomes.truth.tolist() == [0, 0, 0, 0, 0, -1]
    assert outcomes.iou == pytest.approx([1, 1, 0.4, 1, 0.4, 0])


def test_what_lies_in_a_crowd_region_is_ignored_with_the_share_of_it_inside() -> None:
    half = (5.0, 0.0, 15.0, 10.0)
    outcomes = box_outcomes([_image([(BOX, 0)], [(half, 0, 0.5)], crowd=True)], ["a"])
    assert [OUTCOMES[kind] for kind in outcomes.outcome] == ["ignored"]
    assert outcomes.iou == pytest.approx([0.5])
    assert outcomes.num_truth.tolist() == [0]
    assert outcomes.num_errors().tolist() == [0]


def _scenes(count: int = 20) -> list[EvaluatedImage]:
    generator = torch.Generator().manual_seed(5)
    scenes = []
    for number in range(count):
        corner = torch.rand(12, 2, generator=generator) * 60
        truth = Annotations(torch.cat([corner, corner + 20], 1), torch.arange(12) % 3, torch.arange(12) % 11 == 5)
        shifted = corner.repeat(3, 1) + torch.rand(36, 2, generator=generator) * 14
        labels = torch.where(torch.rand(36, generator=generator) < 0.7, torch.arange(36) % 3, torch.arange(36) * 7 % 3)
        scores = torch.rand(36, generator=generator).sort(descending=True).values
        found = Detections(torch.cat([shifted, shifted + 20], 1), scores, labels)
        scenes.append(EvaluatedImage(number, f"{number}.jpg", (100, 100), truth, found))
    return scenes


def test_outcomes_of_what_reaches_a_score_are_those_of_an_analysis_of_that_alone() -> None:
    scenes = _scenes()
    outcomes = box_outcomes(scenes, ["a", "b", "c"])
    seen = set()
    for score in (0.2, 0.5, 0.8):
        alone = [
            EvaluatedImage(one.image_id, one.file_name, one.size, one.ground_truth, one.detections.above(score))
            for one in scenes
        ]
        matched = match_detections(alone, 3, (0.5,))
        errors = find_errors(alone, matched)
        kept = outcomes.outcome[outcomes.score >= np.float32(score)]
        for kind, name in enumerate(ERROR_TYPES[:-1]):
            assert np.count_nonzero(kept == kind) == np.count_nonzero(errors.kind == kind), name
        assert np.count_nonzero(kept == OUTCOMES.index("right")) == matched.is_true_positive.sum()
        seen |= set(kept.tolist())
    assert seen == {0, 1, 2, 3, 4, 6, 7}  # every outcome that a detection can have has come up


def test_errors_of_images_are_false_positives_and_misses_of_the_analysis() -> None:
    scenes = _scenes()
    analysis = analyse(scenes, ["a", "b", "c"])
    outcomes = box_outcomes(scenes, ["a", "b", "c"], analysis.thresholds)
    by_image = {one.image: one for one in analysis.image_scores}
    assert outcomes.num_errors().tolist() == [by_image[n].false_positives + by_image[n].misses for n in range(20)]
    assert outcomes.loss == pytest.approx([by_image[n].loss for n in range(20)])
    without = box_outcomes(scenes, ["a", "b", "c"])  # the analysis takes the best F1 too where nothing else is asked for
    assert without.thresholds.tolist() == outcomes.thresholds.tolist()


def test_thresholds_are_those_given_and_the_default_for_classes_without_one() -> None:
    outcomes = box_outcomes([_image([], [])], ["a", "b"], ScoreThresholds({"a": 0.75}, "precision>=0.9"))
    assert outcomes.thresholds.tolist() == pytest.approx([0.75, 0.3])
    assert outcomes.wish == "precision>=0.9"


def test_detections_past_the_limit_of_coco_are_counted_as_left_out() -> None:
    image = _image([], [(FAR, 0, 0.5)] * 103 + [(FAR, 1, 0.5)] * 2)
    assert box_outcomes([image], ["a", "b"]).num_left_out == 3


def test_no_images_have_no_outcomes() -> None:
    outcomes = box_outcomes([], ["a"])
    assert len(outcomes.outcome) == len(outcomes.num_errors()) == 0


def test_a_label_without_a_class_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"label 1 among its annotations; accepted: 0\.\.0"):
        box_outcomes([_image([(BOX, 1)], [])], ["a"])
