from __future__ import annotations

import time
from typing import Any

import numpy as np

from dettoolkit.data import build_dataset
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.records import Record
from dettoolkit.diagnosis.dataset import in_one_line, quick_check
from dettoolkit.structures import DatasetInfo


def dataset(boxes: list[list[float]], labels: list[int], name: str = "mine", classes: tuple[str, ...] = ("cat", "dog")) -> Any:
    arrays = (np.array(boxes, np.float32), np.array(labels), np.zeros(len(labels), bool), np.ones(len(labels), np.float32))
    return DetectionDataset(DatasetInfo(name, classes), [Record(7, "a.png", 100, 200, *arrays)])


def test_boxes_and_classes_are_looked_at_without_images() -> None:
    train = dataset([[10, 10, 60, 60], [11, 10, 61, 60]], [0, 0])
    test = dataset([[10, 10, 60, 60]], [1], "other")

    found = {finding.kind: finding for finding in quick_check([train], [test])}

    assert found.keys() == {"duplicate-boxes", "class-not-in-training", "class-not-in-test"}
    assert found["duplicate-boxes"].examples[0].image_id == 7
    assert in_one_line(found["duplicate-boxes"]) == (
        "boxes that stand twice: same class, same place: 1, such as "
        "mine: cat [11, 10, 61, 60] differs by 1 pixel at most from cat [10, 10, 60, 60] (a.png)"
    )
    assert "dog: 1 box in the test sets" in in_one_line(found["class-not-in-training"])


def test_a_sound_set_has_nothing_to_tell(drawn: Any) -> None:
    cfg = drawn.config()
    found = quick_check([build_dataset(cfg, "train")], [build_dataset(cfg, "val")])
    assert all(finding.severity == "hint" for finding in found)


def test_a_hundred_thousand_boxes_take_less_than_a_second() -> None:
    generator = np.random.default_rng(0)

    def records() -> Any:
        for index in range(5000):
            corners = generator.uniform(0, 500, (20, 2))
            boxes = np.concatenate([corners, corners + generator.uniform(10, 120, (20, 2))], axis=1)
            labels = generator.integers(0, 3, 20)
            yield Record(index, f"{index}.jpg", 640, 640, boxes, labels, np.zeros(20, bool), np.ones(20, np.float32))

    many = DetectionDataset(DatasetInfo("many", ("a", "b", "c")), records())
    start = time.process_time()
    quick_check([many])
    assert time.process_time() - start < 1.0
