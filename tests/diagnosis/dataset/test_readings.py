from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.records import Record
from dettoolkit.diagnosis.dataset.boxes import broken_boxes
from dettoolkit.diagnosis.dataset.inspection import InspectedImage, InspectedSet, from_records
from dettoolkit.diagnosis.dataset.readings import better_reading, corners_as_meant, reading_findings
from dettoolkit.structures import DatasetInfo

SIZE = (480, 640)


def inspected(corners: np.ndarray, in_shares: bool = False) -> InspectedSet:
    """Return a set of one image of 640 x 480 with these boxes."""
    count = len(corners)
    arrays: Any = (corners, np.zeros(count), np.zeros(count), np.zeros(count))
    of_set = from_records(DetectionDataset(DatasetInfo("mine", ("cat",)), [Record(1, "a.jpg", *SIZE, *arrays)]))
    of_set.boxes.corners = np.asarray(corners, np.float64)  # records hold 32 bits
    of_set.images = [InspectedImage(1, "a.jpg", SIZE, "", in_shares)]
    return of_set


def sound_boxes(count: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    sides = generator.uniform(20, 200, (count, 2))
    starts = generator.uniform(0, 1, (count, 2)) * (np.array([640, 480]) - sides)
    return np.concatenate([starts, starts + sides], axis=1)


def kind(corners: np.ndarray, in_shares: bool = False) -> str | None:
    better = better_reading(inspected(corners, in_shares))
    return None if better is None else better[0].kind


@pytest.mark.parametrize("count", [5, 12, 400])
def test_each_way_of_misreading_is_told(count: int) -> None:
    boxes = sound_boxes(count)
    sides = boxes[:, 2:] - boxes[:, :2]
    assert kind(boxes) is None
    assert kind(np.concatenate([boxes[:, :2], sides], axis=1)) == "xywh-read-as-xyxy" or count == 5
    assert kind(np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)) == "xyxy-read-as-xywh" or count == 5
    assert kind(boxes / [640, 480, 640, 480]) == "normalised-coordinates"
    assert kind(boxes / [640, 480, 640, 480], in_shares=True) is None
    assert kind(boxes, in_shares=True) == "pixels-read-as-shares"


def test_sound_sets_are_never_suspected() -> None:
    assert [kind(sound_boxes(20, seed)) for seed in range(200)] == [None] * 200


@pytest.mark.parametrize("broken", [0.05, 0.2, 0.5])
def test_broken_boxes_do_not_make_another_reading(broken: float) -> None:
    boxes = sound_boxes(200)
    number = int(200 * broken)
    boxes[:number, 2] += 700  # outside
    assert kind(boxes) is None
    boxes = sound_boxes(200)
    boxes[:number, 2] = boxes[:number, 0]  # no area
    assert kind(boxes) is None
    boxes = sound_boxes(200)
    boxes[:number] = boxes[:number][:, [2, 3, 0, 1]]  # corners in the wrong order
    assert kind(boxes) is None


def test_a_few_boxes_of_one_image_in_shares_are_told_among_many() -> None:
    boxes = sound_boxes(300)
    boxes[:6] /= [640, 480, 640, 480]
    (finding,) = reading_findings(inspected(boxes))
    assert (finding.kind, finding.count) == ("normalised-coordinates", 6)
    x1, y1, x2, y2 = (f"{number:g}" for number in sound_boxes(300)[0])
    assert finding.examples[0].text.endswith(f"in an image of 640 x 480 would fit as [{x1}, {y1}, {x2}, {y2}]")


def test_few_boxes_say_nothing() -> None:
    boxes = sound_boxes(4)
    assert kind(np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)) is None


def centres(boxes: np.ndarray) -> np.ndarray:
    """Return what is read as corners where centre and size are written for a corner and size."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return boxes + np.tile(sides / 2, 2)  # written (x + w / 2, y + h / 2, w, h), read (those, those + (w, h))


@pytest.mark.parametrize("seed", range(20))
def test_centres_are_told_from_corners(seed: int) -> None:
    boxes = sound_boxes(200, seed)
    (finding,) = reading_findings(inspected(centres(boxes)))
    assert finding.kind == "centre-read-as-corner"
    meant, read_anew, _ = corners_as_meant(inspected(centres(boxes)))
    assert np.allclose(meant, boxes)
    assert len(read_anew) == 200  # those that fit either way too
    assert list(broken_boxes(inspected(centres(boxes)))) == []  # told once


@pytest.mark.parametrize(
    ("factor", "shift"), [(1.2, (0, 0)), (2.0, (0, 0)), (1.0, (60, 60)), (1.0, (-60, -60)), (1.0, (150, 0)), (0.8, (200, 200))]
)
def test_a_shift_or_another_scale_is_no_centre(factor: float, shift: tuple[int, int]) -> None:
    boxes = sound_boxes(200) * factor + np.array(shift * 2)
    assert kind(boxes) is None


def test_many_boxes_outside_that_nothing_explains_are_a_fault_of_all() -> None:
    boxes = sound_boxes(200)
    assert [finding.kind for finding in broken_boxes(inspected(boxes * 2))] == ["boxes-displaced"]
    boxes[:20, 2] += 700
    assert [(finding.kind, finding.count) for finding in broken_boxes(inspected(boxes))] == [("boxes-outside-image", 20)]
