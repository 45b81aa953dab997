from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from dettoolkit.diagnosis.dataset.boxes import duplicate_pairs
from dettoolkit.diagnosis.dataset.inspection import BoxTable


def pairs(corners: np.ndarray, images: np.ndarray | None = None, ignore: np.ndarray | None = None) -> list[tuple[int, int]]:
    """Return (later, earlier) boxes that stand twice in images of 1000 x 1000."""
    count = len(corners)
    images = np.zeros(count, np.int64) if images is None else images
    ignore = np.zeros(count, bool) if ignore is None else ignore
    table = BoxTable(corners, np.zeros(count, np.int64), ignore, images, np.full(count, np.nan), [""] * count)
    later, earlier, _ = duplicate_pairs(table, corners, np.full((count, 2), 1000))
    return list(zip(later.tolist(), earlier.tolist(), strict=True))


@pytest.mark.parametrize(
    ("other", "twice"),
    [
        ([100, 100, 200, 200], True),
        ([102, 102, 202, 202], True),  # the key "duplicate" of a labelling tool
        ([98, 98, 198, 198], True),
        ([103, 100, 200, 200], True),  # by more than 2 pixels, but IoU 0.97
        ([103, 103, 203, 203], False),  # IoU 97 x 97 / (2 x 100 x 100 - 97 x 97) = 0.89
        ([100, 100, 200, 195], True),  # IoU 0.95
        ([100, 100, 200, 194], False),
        ([120, 120, 180, 180], False),
    ],
)
def test_which_boxes_stand_in_the_same_place(other: list[float], twice: bool) -> None:
    both = np.array([[100, 100, 200, 200], other], np.float64)
    assert pairs(both) == ([(1, 0)] if twice else [])


def test_small_neighbours_are_two_objects() -> None:
    # two of 6 x 6, shifted by 2: IoU 16 / (72 - 16) = 0.29
    assert pairs(np.array([[10, 10, 16, 16], [12, 12, 18, 18]], np.float64)) == []


def test_images_crowds_and_broken_boxes_are_kept_apart() -> None:
    same = np.array([[10, 10, 60, 60]] * 2, np.float64)
    assert pairs(same, images=np.array([0, 1])) == []
    assert pairs(same, ignore=np.array([False, True])) == []
    assert pairs(np.array([[10, 10, 10, 60]] * 2, np.float64)) == []


def test_a_box_that_stands_three_times_is_there_twice_too_often() -> None:
    assert pairs(np.array([[10, 10, 60, 60]] * 3, np.float64)) == [(1, 0), (2, 0)]


def test_all_pairs_are_compared() -> None:
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 400, (300, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(20, 300, (300, 2))], axis=1).round()
    jitter = generator.integers(-3, 4, (300, 4))
    boxes = np.concatenate([boxes, boxes + jitter]).clip(0, 1000)
    images = generator.integers(0, 5, 300)
    images = np.concatenate([images, images])
    overlaps = box_iou(torch.from_numpy(boxes), torch.from_numpy(boxes)).numpy()
    shift = np.abs(boxes[:, None] - boxes[None]).max(axis=2)
    equal = ((shift <= 2) & (overlaps >= 0.8)) | (overlaps >= 0.95)
    equal &= images[:, None] == images[None]
    expected = [(index, int(np.argmax(equal[index]))) for index in range(600) if equal[index, :index].any()]

    assert len(expected) > 50
    assert pairs(boxes, images) == expected


def test_an_empty_set_has_no_pairs() -> None:
    assert pairs(np.zeros((0, 4))) == []
