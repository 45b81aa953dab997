from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.records import Record
from dettoolkit.diagnosis.dataset.inspection import InspectedImage, InspectedSet, from_records
from dettoolkit.diagnosis.dataset.readings import better_reading, reading_findings
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
