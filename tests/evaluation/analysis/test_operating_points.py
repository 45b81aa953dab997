"""Score curves and the thresholds chosen on them, on six detections that a person can count."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dettoolkit.errors import ConfigError
from dettoolkit.evaluation.analysis.matching import match_detections
from dettoolkit.evaluation.analysis.operating_points import Wish, operating_point, score_thresholds
from dettoolkit.evaluation.analysis.score_curves import score_curves
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

# of class 0, four objects; right, right, wrong, right, wrong, wrong. Two scores are equal.
SCORES = (0.9, 0.8, 0.7, 0.6, 0.4, 0.4)
RIGHT = (True, True, False, True, False, False)


def boxes(count: int, left: float) -> torch.Tensor:
    corners = torch.tensor([[left, 30.0 * row] for row in range(count)]).reshape(-1, 2)
    return torch.cat([corners, corners + 20], dim=1)


def one_image(scores=SCORES, right=RIGHT, objects: int = 4) -> EvaluatedImage:
    there, nowhere = boxes(objects, 0.0), boxes(len(scores), 500.0)
    found, taken = nowhere.clone(), 0
    for index, is_right in enumerate(right):
        if is_right:
            found[index], taken = there[taken], taken + 1
    labels = torch.zeros(len(scores), dtype=torch.int64)
    truth = Annotations(there, torch.zeros(objects, dtype=torch.int64), torch.zeros(objects, dtype=torch.bool))
    return EvaluatedImage(1, "a.jpg", (600, 600), truth, Detections(found, torch.tensor(scores), labels))


def curve_of(*images: EvaluatedImage):
    return score_curves(match_detections(images, 1, (0.5,)))[0]


def test_the_curve_counts_as_a_person_counts() -> None:
    curve = curve_of(one_image())
    assert curve.thresholds == pytest.approx([0.95, 0.85, 0.75, 0.65, 0.5, 0.0])  # the two of 0.4 are kept together
    assert curve.true_positives.tolist() == [0, 1, 2, 2, 3, 3]
    assert curve.false_positives.tolist() == [0, 0, 0, 1, 1, 3]
    assert curve.precision == pytest.approx([np.nan, 1, 1, 2 / 3, 3 / 4, 1 / 2], nan_ok=True)
    assert curve.recall == pytest.approx([0, 1 / 4, 1 / 2, 1 / 2, 3 / 4, 3 / 4])
    assert curve.f1 == pytest.approx([0, 2 / 5, 2 / 3, 4 / 7, 3 / 4, 3 / 5])


def test_each_threshold_keeps_what_the_curve_says() -> None:
    """An independent count: the detections are thrown away first and matched afterwards."""
    random = np.random.default_rng(0)
    scores = np.sort(random.random(40).astype(np.float32))[::-1]
    scores[5] = np.nextafter(scores[4], np.float32(0))  # no number between the two
    image = one_image(tuple(scores.tolist()), tuple((random.random(40) < 0.4).tolist()), objects=40)
    curve = curve_of(image)
    for index, threshold in enumerate(curve.thresholds.tolist()):
        kept = EvaluatedImage(1, "a.jpg", image.size, image.ground_truth, image.detections.above(threshold))
        right = match_detections([kept], 1, (0.5,)).is_true_positive[0]
        assert (int(right.sum()), int((~right).sum())) == (curve.true_positives[index], curve.false_positives[index])


@pytest.mark.parametrize(
    ("wish", "threshold", "right", "wrong"),
    [
        ("best_f1", 0.5, 3, 1),
        ("precision>=0.9", 0.75, 2, 0),
        ("precision >= .75", 0.5, 3, 1),
        ("recall>=0.5", 0.75, 2, 0),  # of those with enough recall the highest precision
        ("recall>=0.6", 0.5, 3, 1),
        ("cost=1:1", 0.75, 2, 0),  # 2 misses cost as much as 1 wrong and 1 miss: the higher threshold
        ("cost=1:5", 0.5, 3, 1),  # 1 + 5 against 0 + 10
        ("cost=10:1", 0.75, 2, 0),
    ],
)
def test_wishes_are_met_where_a_person_finds_them(wish: str, threshold: float, right: int, wrong: int) -> None:
    point = operating_point(curve_of(one_image()), Wish.parse(wish))
    assert point.is_met
    assert point.threshold == pytest.approx(threshold)
    assert (point.true_positives, point.false_positives, point.misses) == (right, wrong, 4 - right)
    assert point.precision == pytest.approx(right / (right + wrong))


def test_a_wish_that_cannot_be_met_comes_nearest_and_says_so() -> None:
    point = operating_point(curve_of(one_image()), Wish.parse("recall>=0.9"))
    assert not point.is_met
    assert point.threshold == pytest.approx(0.5)  # recall 3 / 4 with as little wrong as possible
    assert point.note == "recall>=0.9 is not reached: the highest recall is 0.750, at a precision of 0.750"
    point = operating_point(curve_of(one_image((0.9, 0.5), (False, True))), Wish.parse("precision>=0.8"))
    assert point.note == "precision>=0.8 is not reached: the highest precision is 0.500, at a recall of 0.250"


def test_a_class_that_only_costs_is_never_reported() -> None:
    point = operating_point(curve_of(one_image((1.0, 0.5), (False, False))), Wish.parse("cost=1:1"))
    assert (point.false_positives, point.misses) == (0, 4)
    assert point.threshold > 1  # a score of 1 is wrong here
    assert point.precision is None


@pytest.mark.parametrize(
    ("image", "note"),
    [
        (one_image(objects=0, right=(False,) * 6), "there is no object of the class to measure on"),
        (one_image((), ()), "there is no detection of the class"),
    ],
)
def test_where_nothing_can_be_measured_there_is_no_threshold(image: EvaluatedImage, note: str) -> None:
    point = operating_point(curve_of(image), Wish.parse("best_f1"))
    assert (point.threshold, point.is_met, point.note) == (None, False, note)


def test_thresholds_of_all_classes_are_named() -> None:
    image = one_image()
    curves = score_curves(match_detections([image], 2, (0.5,)))
    thresholds, points = score_thresholds(curves, ("cat", "dog"), Wish.parse("best_f1"), "mine")
    assert thresholds.by_class == {"cat": pytest.approx(0.5), "dog": None}
    assert (thresholds.wish, thresholds.dataset) == ("best_f1", "mine")
    assert [point.is_met for point in points] == [True, False]


@pytest.mark.parametrize("text", ["best_f1", "precision>=0.9", "recall>=0.85", "cost=1:5", "cost=0.5:2"])
def test_wishes_read_as_they_are_written(text: str) -> None:
    assert str(Wish.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bestf1", "Did you mean 'best_f1'"),
        ("precision>0.9", "expected best_f1, precision>=P"),
        ("precision>=1.2", "above 0 and at most 1, got 'precision>=1.2'"),
        ("recall>=0", "above 0 and at most 1"),
        ("cost=0:0", "must cost something"),
    ],
)
def test_what_is_no_wish_is_told(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=r"EVALUATION\.THRESHOLDS") as error:
        Wish.parse(text, "EVALUATION.THRESHOLDS")
    assert words in str(error.value)


def test_curves_are_shortened_for_json() -> None:
    data = curve_of(one_image()).to_dict()
    assert data["precision"] == [None, 1.0, 1.0, round(2 / 3, 6), 0.75, 0.5]
    data = curve_of(one_image()).to_dict(points=3)
    assert len(data["score"]) == 3
    assert data["recall"][0] == 0
    assert data["recall"][-1] == 0.75
