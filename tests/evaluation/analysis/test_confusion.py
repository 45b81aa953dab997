"""The confusion matrix: pictures of a few boxes that a person can pair."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dettoolkit.evaluation.analysis.confusion import confusion_matrix
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

SQUARE = (0.0, 0.0, 100.0, 100.0)
NEAR = (0.0, 0.0, 100.0, 80.0)  # IoU 0.8 with SQUARE
LOW = (0.0, 0.0, 100.0, 40.0)  # 0.4
FAR = (200.0, 200.0, 260.0, 260.0)
A, B, BACKGROUND = 0, 1, 2


def image(truth: list, found: list, ignore: tuple[int, ...] = ()) -> EvaluatedImage:
    boxes = [torch.tensor([row[0] for row in rows]).reshape(-1, 4) for rows in (truth, found)]
    labels = [torch.tensor([row[1] for row in rows], dtype=torch.int64) for rows in (truth, found)]
    marks = torch.tensor([index in ignore for index in range(len(truth))], dtype=torch.bool)
    detections = Detections(boxes[1], torch.tensor([row[2] for row in found]), labels[1])
    return EvaluatedImage(1, "a.jpg", (300, 300), Annotations(boxes[0], labels[0], marks), detections)


def cells(*images: EvaluatedImage, thresholds: tuple[float, float] = (0.3, 0.3)) -> dict[tuple[int, int], int]:
    """Return the cells that are not 0 by (there, found)."""
    counts = confusion_matrix(images, thresholds).counts
    return {(int(row), int(column)): int(counts[row, column]) for row, column in zip(*np.nonzero(counts), strict=True)}


def test_each_kind_of_cell() -> None:
    assert cells(image([(SQUARE, A)], [(SQUARE, A, 0.9)])) == {(A, A): 1}
    assert cells(image([(SQUARE, A)], [(SQUARE, B, 0.9)])) == {(A, B): 1}
    assert cells(image([(SQUARE, A)], [(LOW, A, 0.9)])) == {(A, BACKGROUND): 1, (BACKGROUND, A): 1}
    assert cells(image([], [(FAR, B, 0.9)])) == {(BACKGROUND, B): 1}
    assert cells(image([(FAR, B)], [])) == {(B, BACKGROUND): 1}


def test_the_larger_overlap_pairs_first_whatever_the_class_and_score() -> None:
    found = [(NEAR, A, 0.9), (SQUARE, B, 0.4)]
    assert cells(image([(SQUARE, A)], found)) == {(A, B): 1, (BACKGROUND, A): 1}


def test_of_equal_overlaps_the_same_class_pairs_first_then_the_higher_score() -> None:
    assert cells(image([(SQUARE, A)], [(SQUARE, B, 0.9), (SQUARE, A, 0.4)])) == {(A, A): 1, (BACKGROUND, B): 1}
    two = image([(SQUARE, A), (SQUARE, B)], [(SQUARE, A, 0.8), (SQUARE, A, 0.9)])
    assert cells(two) == {(A, A): 1, (B, A): 1}


def test_thresholds_are_of_each_class() -> None:
    found = [(SQUARE, A, 0.5), (FAR, B, 0.5)]
    assert cells(image([(SQUARE, A), (FAR, B)], found), thresholds=(0.5, 0.6)) == {(A, A): 1, (B, BACKGROUND): 1}


def test_inside_a_crowd_region_of_its_class_a_detection_is_not_counted() -> None:
    found = [(LOW, A, 0.9), (LOW, B, 0.9)]
    assert cells(image([(SQUARE, A)], found, ignore=(0,))) == {(BACKGROUND, B): 1}


def test_shares_of_rows_and_columns() -> None:
    images = [image([(SQUARE, A)], [(SQUARE, A, 0.9)])] * 3 + [image([(SQUARE, A)], [(SQUARE, B, 0.9)])]
    matrix = confusion_matrix(images, (0.3, 0.3))
    assert matrix.by_truth[A] == pytest.approx([3 / 4, 1 / 4, 0])
    assert np.isnan(matrix.by_truth[B]).all()
    assert matrix.by_detection[:, B] == pytest.approx([1, 0, 0])
    assert matrix.to_dict()["counts"] == [[3, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_every_object_and_every_kept_detection_is_in_one_cell() -> None:
    random = np.random.default_rng(0)
    images, objects, kept = [], np.zeros(3, int), np.zeros(3, int)
    for _ in range(30):
        corners = random.uniform(0, 100, (20, 2))
        boxes = [tuple(row) for row in np.concatenate([corners, corners + random.uniform(20, 60, (20, 2))], axis=1).tolist()]
        truth = [(box, int(random.integers(3))) for box in boxes[:8]]
        found = [(box, int(random.integers(3)), float(random.random())) for box in boxes[4:]]
        images.append(image(truth, found))
        objects += np.bincount([row[1] for row in truth], minlength=3)
        kept += np.bincount([row[1] for row in found if row[2] >= 0.5], minlength=3)
    counts = confusion_matrix(images, (0.5, 0.5, 0.5)).counts
    assert counts[:3].sum(axis=1).tolist() == objects.tolist()
    assert counts[:, :3].sum(axis=0).tolist() == kept.tolist()
    assert np.trace(counts) > 0
    assert counts[3, 3] == 0
