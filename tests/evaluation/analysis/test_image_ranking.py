"""Best and worst images of a few that a person can put in order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dettoolkit.evaluation.analysis.error_types import find_errors
from dettoolkit.evaluation.analysis.image_ranking import ImageScore, rank_images
from dettoolkit.evaluation.analysis.matching import match_detections
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

SQUARE, LOW, FAR = (0.0, 0.0, 100.0, 100.0), (0.0, 0.0, 100.0, 40.0), (200.0, 200.0, 260.0, 260.0)
NAMES = ("cat", "dog")


def image(name: str, truth: list[tuple], found: list[tuple]) -> EvaluatedImage:
    boxes = [torch.tensor([row[0] for row in rows]).reshape(-1, 4) for rows in (truth, found)]
    labels = [torch.tensor([row[1] for row in rows], dtype=torch.int64) for rows in (truth, found)]
    annotations = Annotations(boxes[0], labels[0], torch.zeros(len(truth), dtype=torch.bool))
    return EvaluatedImage(
        name, name, (300, 300), annotations, Detections(boxes[1], torch.tensor([r[2] for r in found]), labels[1])
    )


def ranked(*images: EvaluatedImage, thresholds: tuple[float, float] = (0.3, 0.3)) -> list[ImageScore]:
    matched = match_detections(images, 2, (0.5,))
    return rank_images(images, matched, find_errors(images, matched), NAMES, thresholds)


def test_the_worst_come_first() -> None:
    scores = ranked(
        image("right", [(SQUARE, 0)], [(SQUARE, 0, 0.9)]),
        image("nothing", [], []),
        image("two right", [(SQUARE, 0), (FAR, 1)], [(SQUARE, 0, 0.9), (FAR, 1, 0.9)]),
        image("half", [(SQUARE, 0), (FAR, 1)], [(SQUARE, 0, 0.9)]),
        image("invented", [], [(FAR, 1, 0.9)]),
        image("missed", [(FAR, 1)], []),
    )
    # missed: - log 0.05 = 3.0, invented: - log 0.1 = 2.3; the right ones by loss: two of 0.9, one of 0.9, none
    assert [score.file_name for score in scores] == ["missed", "invented", "half", "two right", "right", "nothing"]
    assert [score.f1 for score in scores] == pytest.approx([0, 0, 2 / 3, 1, 1, 1])
    assert scores[0].loss == pytest.approx(-np.log(0.05))
    assert scores[2].loss == pytest.approx(-np.log(0.9) - np.log(0.05))


def test_images_without_any_detection_are_ranked() -> None:
    (score,) = ranked(image("a", [(SQUARE, 0)], []))
    assert (score.f1, score.misses, score.reasons) == (0, 1, ("1 cat not found",))


def test_reasons_say_what_is_wrong_at_the_thresholds() -> None:
    found = [(SQUARE, 0, 0.9), (SQUARE, 0, 0.8), (SQUARE, 1, 0.7), (LOW, 0, 0.6), (FAR, 1, 0.45), (FAR, 0, 0.2)]
    (score,) = ranked(image("a", [(SQUARE, 0), (FAR, 1)], found), thresholds=(0.3, 0.5))
    assert set(score.reasons) == {
        "1 cat found once more",
        "1 dog where another class is",
        "1 cat badly placed",
        "1 dog found below the score threshold",
    }
    assert (score.true_positives, score.false_positives, score.misses) == (1, 3, 1)
    assert score.f1 == pytest.approx(2 / (2 + 3 + 1))
    (score,) = ranked(image("a", [(SQUARE, 0)] * 3, [(FAR, 1, 0.9)]))
    assert score.reasons == ("3 cat not found", "1 dog where nothing is")
    assert score.to_dict()["misses"] == 3
