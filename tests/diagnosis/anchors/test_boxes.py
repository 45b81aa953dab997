from __future__ import annotations

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.config import load_config
from dettoolkit.data.records import Record, RecordArray
from dettoolkit.diagnosis.anchors.boxes import sampled_images, transformed_boxes

RECORDS = RecordArray(
    [
        Record(7, "a.jpg", 50, 100, [[10, 10, 20, 40], [0, 0, 100, 50]], [2, 0], [False, True], [11.0, 12.0]),
        Record(8, "b.jpg", 80, 80, [], [], [], []),
        Record(9, "c.jpg", 40, 40, [[0, 0, 20, 10]], [1], [False], [13.0]),
    ]
)


def config(*transforms: str) -> CfgNode:
    return load_config("tiny.yaml", ["DATASETS.TRAIN_TRANSFORMS", f"[{', '.join(transforms)}]", "SOLVER.BATCH_SIZE", "1"])


RESIZE = "{NAME: ResizeShortestEdge, SIZES: [100], MAX_SIZE: 150}"


def test_boxes_are_those_after_the_resize_worked_by_hand() -> None:
    # 50 x 100: the shorter side would become 100 and the longer 200 > 150, so both are scaled by 1.5; 40 x 40 by 2.5
    found = transformed_boxes(config(RESIZE), RECORDS)
    assert found.sizes.tolist() == [[75, 150], [100, 100], [100, 100]]
    assert found.boxes.tolist() == [[15, 15, 30, 60], [0, 0, 150, 75], [0, 0, 50, 25]]
    assert found.images.tolist() == [0, 0, 2]
    assert found.labels.tolist() == [2, 0, 1]
    assert found.areas.tolist() == [11, 12, 13]
    assert found.numbers.tolist() == [0, 1, 2]
    objects = found.objects()
    assert (objects.images.tolist(), objects.labels.tolist(), objects.numbers.tolist()) == ([0, 2], [2, 1], [0, 2])


def test_a_part_of_the_images_is_looked_at_alone() -> None:
    found = transformed_boxes(config(), RECORDS, np.array([2]))
    assert (found.indices.tolist(), found.numbers.tolist(), found.boxes.tolist()) == ([2], [2], [[0, 0, 20, 10]])
    assert (found.labels.tolist(), found.areas.tolist()) == ([1], [13.0])


def test_the_records_of_other_images_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    # of a million images, 300 are looked at where a training starts
    read, original = [], RecordArray.__getitem__

    def noting(self: RecordArray, index: int) -> Record:
        read.append(index)
        return original(self, index)

    monkeypatch.setattr(RecordArray, "__getitem__", noting)
    found = transformed_boxes(config(), RECORDS, np.array([0, 1]))
    assert (found.labels.tolist(), set(read)) == ([2, 0], {0, 1})


def test_a_flip_leaves_labels_in_their_order() -> None:
    found = transformed_boxes(config("{NAME: RandomHorizontalFlip, P: 1.0}"), RECORDS)
    assert found.boxes[:2].tolist() == [[80, 10, 90, 40], [0, 0, 100, 50]]
    assert found.labels.tolist() == [2, 0, 1]


@pytest.mark.parametrize("name", ["RandomPhotometricDistort", "ColorJitter", "RandomGrayscale"])
def test_a_transform_of_pixels_leaves_boxes_as_they_are(name: str) -> None:
    found = transformed_boxes(config(f"{{NAME: {name}}}", RESIZE), RECORDS)
    assert found.boxes.tolist() == [[15, 15, 30, 60], [0, 0, 150, 75], [0, 0, 50, 25]]
    assert found.labels.tolist() == [2, 0, 1]


def test_boxes_that_a_crop_leaves_out_go_with_all_that_is_known_of_them() -> None:
    found = transformed_boxes(config("{NAME: CenterCrop, SIZE: [20, 20]}"), RECORDS)
    # the middle 20 x 20 of 50 x 100 begins at (40, 15): only the crowd region is there; of 40 x 40 at (10, 10): nothing is
    assert found.boxes.tolist() == [[0, 0, 20, 20]]
    assert (found.labels.tolist(), found.areas.tolist(), found.ignore.tolist()) == ([0], [12.0], [True])


def test_transforms_that_mix_samples_get_those_of_other_images() -> None:
    found = transformed_boxes(config("{NAME: MixUp}"), RECORDS)
    # whatever was mixed in, each box knows where it came from: its label and area are those of its number
    assert len(found.boxes) > 0
    assert found.labels.tolist() == [[2, 0, 1][number] for number in found.numbers.tolist()]
    assert found.areas.tolist() == [[11.0, 12.0, 13.0][number] for number in found.numbers.tolist()]


def test_without_limits_all_images_are_taken() -> None:
    assert sampled_images(np.array([1, 2, 3])).tolist() == [0, 1, 2]


def test_limits_hold_and_leave_one_image_at_least() -> None:
    counts = np.full(100, 5)
    chosen = sampled_images(counts, 52)
    assert len(chosen) == 10  # 5 boxes each: ten images have 50, eleven 55
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert len(sampled_images(counts, 3)) == 1
    assert len(sampled_images(counts, 52, most_images=4)) == 4
    assert torch.equal(torch.from_numpy(sampled_images(counts, 52)), torch.from_numpy(chosen))
