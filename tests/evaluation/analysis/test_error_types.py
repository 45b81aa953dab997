"""Error types on ten images that a person can count, and properties of the costs on random ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dettoolkit.evaluation.analysis.average_precision import average_precisions
from dettoolkit.evaluation.analysis.error_costs import cost_errors
from dettoolkit.evaluation.analysis.error_types import ERROR_TYPES, MISSED, find_errors
from dettoolkit.evaluation.analysis.matching import match_detections
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

SQUARE = (0.0, 0.0, 100.0, 100.0)
LOW = (0.0, 0.0, 100.0, 40.0)  # overlaps SQUARE with an IoU of 40 / 100
FAR = (200.0, 200.0, 260.0, 260.0)  # overlaps neither
A, B = 0, 1


def image(number: int, truth: list, found: list, crowd: tuple[int, ...] = ()) -> EvaluatedImage:
    """Return an image of (box, label) that are there and (box, label, score) that are found."""
    found = sorted(found, key=lambda row: -row[2])
    ignore = torch.tensor([index in crowd for index in range(len(truth))], dtype=torch.bool)
    boxes = [torch.tensor([row[0] for row in rows]).reshape(-1, 4) for rows in (truth, found)]
    labels = [torch.tensor([row[1] for row in rows], dtype=torch.int64) for rows in (truth, found)]
    scores = torch.tensor([row[2] for row in found])
    annotations, detections = Annotations(boxes[0], labels[0], ignore), Detections(boxes[1], scores, labels[1])
    return EvaluatedImage(number, f"{number}.jpg", (300, 300), annotations, detections)


def ten_images() -> list[EvaluatedImage]:
    """Return ten images; behind each, what a person says of it."""
    return [
        image(1, [(SQUARE, A)], [(SQUARE, A, 0.9)]),  # right
        image(2, [(SQUARE, A)], [(SQUARE, B, 0.9)]),  # the right place, the wrong class: classification
        image(3, [(SQUARE, A)], [(LOW, A, 0.8)]),  # the right class, overlapping too little: localisation
        image(4, [(SQUARE, A)], [(LOW, B, 0.6)]),  # the wrong class, and too little: both; it helps nobody to A: missed
        image(5, [(SQUARE, B)], [(SQUARE, B, 0.8), (SQUARE, B, 0.4)]),  # right, then the same again: duplicate
        image(6, [], [(FAR, A, 0.97)]),  # there is nothing at all: background
        image(7, [(SQUARE, B)], []),  # missed
        image(8, [(SQUARE, A)], [(SQUARE, A, 0.95), (FAR, A, 0.6)]),  # right, and one where nothing is: background
        image(9, [(SQUARE, A)], [(LOW, A, 0.99)], crowd=(0,)),  # inside a crowd of its class: neither right nor wrong
        image(10, [(SQUARE, A)], [(SQUARE, A, 0.85), (LOW, A, 0.5)]),  # right, and the same object badly: localisation
    ]


def errors_and_costs(images: list[EvaluatedImage], num_classes: int = 2):
    """Return errors and costs at an IoU of 0.5."""
    matched = match_detections(images, num_classes, (0.5,))
    errors = find_errors(images, matched)
    return errors, cost_errors(matched, errors), matched


def test_ten_images_count_as_a_person_counts() -> None:
    errors, costs, _ = errors_and_costs(ten_images())
    by_image = {(int(number) + 1, ERROR_TYPES[kind]) for number, kind in zip(errors.image, errors.kind, strict=True)}
    assert by_image == {
        (2, "classification"), (3, "localisation"), (4, "both"), (4, "missed"), (5, "duplicate"), (6, "background"),
        (7, "missed"), (8, "background"), (10, "localisation"),
    }  # fmt: skip
    assert dict(zip(ERROR_TYPES, costs.counts.sum(axis=1).tolist(), strict=True)) == {
        "classification": 1, "localisation": 2, "both": 1, "duplicate": 1, "background": 2, "missed": 2,
    }  # fmt: skip
    assert costs.counts[:, A].tolist() == [0, 2, 0, 0, 2, 1]  # the object of image 4 is an A
    assert costs.counts[:, B].tolist() == [1, 0, 1, 1, 0, 1]


def test_ten_images_cost_what_a_person_works_out() -> None:
    """A: 6 objects, detections by score wrong, right, right, right, wrong, wrong: recall 1/2 at a precision of 3/4, so 51 of
    the 101 recalls (0 to 0.50) have 3/4. B: 2 objects, wrong, right, wrong, wrong: recall 1/2 at 1/2.
    """
    _, costs, _ = errors_and_costs(ten_images())
    a, b = 51 * 3 / 4, 51 / 2
    assert costs.aps * 101 == pytest.approx([a, b])
    assert costs.ap * 202 == pytest.approx(a + b)
    expected = {
        # image 2's detection finds an A: recall 4/6 at 4/5, 67 recalls; without it B is right from the start
        "classification": (67 * 4 / 5 - a) + (51 - b),
        # image 3's finds its A: recall 4/6 at 4/5; image 10's vanishes, which came after all that are right
        "localisation": 67 * 4 / 5 - a,
        "both": 0.0,  # it came after all that are right
        "duplicate": 0.0,
        "background": 51 - a,  # the one of 0.97 stood before all that are right
        # 5 A are left, 3 found: 61 recalls at 3/4; 1 B is left and found: 101 at 1/2
        "missed": (61 * 3 / 4 - a) + (101 / 2 - b),
    }
    assert dict(zip(ERROR_TYPES, costs.ap_costs * 202, strict=True)) == pytest.approx(expected)
    assert costs.false_positive_cost * 202 == pytest.approx((51 - a) + (51 - b))
    assert costs.false_negative_cost * 202 == pytest.approx((101 * 3 / 4 - a) + (101 / 2 - b))  # only found objects are left


def test_of_two_that_could_find_an_object_the_better_score_becomes_right() -> None:
    one = [(SQUARE, A)]
    errors, costs, _ = errors_and_costs([image(1, one, [(LOW, A, 0.3), (SQUARE, B, 0.4), (LOW, A, 0.2)])])
    assert costs.counts[MISSED].sum() == 0
    assert errors.score[errors.becomes_right] == pytest.approx([0.4])


def test_overlaps_at_the_limits_are_of_the_closer_kind() -> None:
    """TIDE's limits belong to both sides: an IoU of t_b is localisation in the class and background elsewhere."""
    tenth = (0.0, 0.0, 100.0, 10.0)
    errors, _, _ = errors_and_costs([image(1, [(SQUARE, A)], [(tenth, A, 0.5), (tenth, B, 0.4)])])
    assert [ERROR_TYPES[kind] for kind in errors.kind] == ["localisation", "background"]


def test_nothing_wrong_and_nothing_at_all() -> None:
    _, costs, _ = errors_and_costs([image(1, [(SQUARE, A)], [(SQUARE, A, 0.9)])])
    assert costs.ap == pytest.approx(1)
    assert costs.counts.sum() == 0
    assert costs.ap_costs.sum() == 0
    assert np.isnan(costs.aps[B])
    assert np.isnan(costs.costs[:, B]).all()
    errors, costs, _ = errors_and_costs([image(1, [], []), image(2, [], [])])
    assert costs.ap is None
    assert len(errors.kind) == 0
    assert costs.ap_costs.sum() == 0


def test_a_class_that_nobody_finds_costs_all_of_its_ap() -> None:
    _, costs, _ = errors_and_costs([image(1, [(SQUARE, A), (FAR, B)], [(SQUARE, A, 0.9)])])
    assert costs.costs[MISSED, B] == 1
    assert costs.ap_costs[MISSED] == pytest.approx(0.5)


def random_images(seed: int, count: int = 30, num_classes: int = 3) -> list[EvaluatedImage]:
    """Return images with moved, relabelled, repeated, dropped and invented boxes."""
    random = np.random.default_rng(seed)
    images = []
    for number in range(count):
        corners = random.uniform(0, 200, (random.integers(0, 8), 2))
        boxes = np.concatenate([corners, corners + random.uniform(20, 80, corners.shape)], axis=1)
        labels = random.integers(0, num_classes, len(boxes))
        picked = random.integers(0, max(len(boxes), 1), random.integers(0, 12) if len(boxes) else 0)
        moved = boxes[picked] + random.normal(0, 6, (len(picked), 4)) * random.integers(0, 4, (len(picked), 1))
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        new = np.where(random.random(len(picked)) < 0.7, labels[picked], random.integers(0, num_classes, len(picked)))
        found = [
            (tuple(box), int(label), float(score))
            for box, label, score in zip(moved, new, random.random(len(new)), strict=True)
        ]
        truth = [(tuple(box), int(label)) for box, label in zip(boxes, labels, strict=True)]
        images.append(image(number, truth, found))
    return images


def test_every_wrong_detection_has_one_type_and_every_object_a_fate() -> None:
    images = random_images(0)
    errors, costs, matched = errors_and_costs(images, 3)
    wrong = ~matched.is_true_positive[0]
    assert sorted(errors.row[errors.kind != MISSED]) == np.flatnonzero(wrong).tolist()
    mended = int(errors.becomes_right.sum())
    found = int(matched.is_true_positive[0].sum())
    assert found + mended + int(costs.counts[MISSED].sum()) == int(matched.num_truth.sum())
    assert costs.counts.sum(axis=1).min() > 0  # the images show every type


def test_the_ap_is_that_of_coco_and_costs_are_bounded_by_what_is_left() -> None:
    _, costs, matched = errors_and_costs(random_images(1), 3)
    assert costs.aps == pytest.approx(average_precisions(matched)[0])
    assert costs.ap_costs.min() >= 0
    assert costs.ap_costs.max() <= 1 - costs.ap


def test_plain_data_has_every_type_and_class() -> None:
    _, costs, _ = errors_and_costs(ten_images())
    data = costs.to_dict(("cat", "dog"))
    assert list(data["types"]) == list(ERROR_TYPES)
    assert data["types"]["localisation"]["count"] == 2
    assert data["classes"]["cat"]["background"]["count"] == 2
    assert data["types"]["background"]["ap_cost"] == pytest.approx((51 - 51 * 3 / 4) / 202)
