from __future__ import annotations

import pytest
import torch
from torchvision.ops import box_iou

from dettoolkit.diagnosis.anchors.overlap import best_overlaps, map_sizes, padded
from dettoolkit.modeling.anchors import GridAnchors

STRIDES = [8, 16, 32, 64, 128]
SIZE = (416, 608)


def some_boxes(count: int) -> torch.Tensor:
    """From tiny to larger than the image, at its edges too."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.rand(count, 2, generator=generator) * torch.tensor([608.0, 416.0])
    sides = torch.exp(torch.rand(count, 2, generator=generator) * 6.5)
    boxes = torch.cat([centers - sides / 2, centers + sides / 2], dim=1)
    boxes[:, 0::2] = boxes[:, 0::2].clamp(0, 608)
    boxes[:, 1::2] = boxes[:, 1::2].clamp(0, 416)
    return boxes[((boxes[:, 2:] - boxes[:, :2]) > 1).all(1)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"offset": 0.5, "round_corners": True, "spacing": "image_over_map"},
        {"base_scale": 2.0, "aspect_ratios": (0.3, 1.0, 3.1), "scales_per_octave": 2},
    ],
)
def test_the_best_overlap_is_that_of_the_matrix_of_all_anchors(options: dict) -> None:
    anchors, boxes = GridAnchors(STRIDES, **options), some_boxes(400)
    by_level = [box_iou(boxes, level).amax(1) for level in anchors(map_sizes(SIZE, STRIDES), "cpu")]
    found = best_overlaps(boxes, torch.tensor([SIZE]).expand(len(boxes), 2), anchors)
    # one place of several that are equally good may be rounded otherwise, by a unit in the last place
    torch.testing.assert_close(found.iou, torch.stack(by_level).amax(0), rtol=0, atol=1.2e-7)
    reached = torch.stack(by_level).gather(0, found.level[None])[0]
    torch.testing.assert_close(reached, found.iou, rtol=0, atol=1.2e-7)


def test_boxes_of_images_of_different_sizes_are_compared_with_their_own_anchors() -> None:
    # worked by hand: the only anchors are 32 px squares around (0, 0), (32, 0), ...; the small image has just the first
    anchors = GridAnchors([32], scales_per_octave=1, aspect_ratios=(1.0,), base_scale=1.0)
    boxes = torch.tensor([[16.0, -16.0, 48.0, 16.0], [16.0, -16.0, 48.0, 16.0]])
    found = best_overlaps(boxes, torch.tensor([[32, 64], [32, 32]]), anchors)
    # around (32, 0) it is the anchor itself; the one around (0, 0) ends where the box begins
    assert found.iou.tolist() == [1.0, 0.0]


def test_no_boxes_are_no_overlaps() -> None:
    found = best_overlaps(torch.zeros(0, 4), torch.zeros(0, 2, dtype=torch.int64), GridAnchors(STRIDES))
    assert found.iou.shape == found.level.shape == (0,)


def test_sizes_are_padded_and_maps_rounded_up() -> None:
    assert padded(torch.tensor([[1, 32], [33, 64]]), 32).tolist() == [[32, 32], [64, 64]]
    assert map_sizes((800, 1216), STRIDES) == [(100, 152), (50, 76), (25, 38), (13, 19), (7, 10)]
