"""The overlap of boxes with their own."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import box_iou

from dettoolkit.modeling.dense.quality import paired_iou


def test_it_is_the_diagonal_of_torchvision_s() -> None:
    corner, side = torch.rand(2, 60, 2, generator=torch.Generator().manual_seed(0)) * 20
    boxes = torch.cat([corner, corner + side + 1], dim=1)
    expected = box_iou(boxes[:30], boxes[30:]).diagonal()
    assert (expected == 0).any()
    assert (expected > 0.1).any()
    torch.testing.assert_close(paired_iou(boxes[:30], boxes[30:]), expected)


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        ([0.0, 0.0, 4.0, 2.0], 1.0),
        ([2.0, 0.0, 6.0, 2.0], 4 / 12),
        ([4.0, 0.0, 8.0, 2.0], 0.0),  # they touch
        ([5.0, 5.0, 6.0, 6.0], 0.0),  # apart both ways: the product of two negative sides is no area
        ([1.0, 1.0, 1.0, 1.0], 0.0),
    ],
)
def test_by_hand(other: list[float], iou: float) -> None:
    assert paired_iou(torch.tensor([[0.0, 0.0, 4.0, 2.0]]), torch.tensor([other])).tolist() == pytest.approx([iou])


def test_two_points_have_no_overlap() -> None:
    point = torch.ones(1, 4)
    assert paired_iou(point, point).tolist() == [0.0]


def test_no_boxes() -> None:
    assert paired_iou(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)
