"""The largest overlaps, against torchvision's matrix of all pairs, bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_iou

from dettoolkit.modeling.anchors import GridAnchors
from dettoolkit.modeling.matchers import largest_overlap
from dettoolkit.modeling.matchers.largest_overlap import largest_overlaps


def by_matrix(anchors: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    iou = box_iou(boxes, anchors)
    best = iou.max(0)
    return best.values, best.indices, ((iou == iou.amax(1, keepdim=True)) & (iou > 0)).any(0)


def assert_equal(anchors: Tensor, boxes: Tensor) -> None:
    found, expected = largest_overlaps(anchors, boxes), by_matrix(anchors, boxes)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def random_boxes(count: int, generator: torch.Generator, whole: bool = False) -> Tensor:
    """Return boxes in and around 256 px; with ``whole`` coordinates many are tied."""
    low = torch.rand(count, 2, generator=generator) * 300 - 20
    boxes = torch.cat([low, low + torch.rand(count, 2, generator=generator) ** 2 * 120], dim=1)
    return (boxes / 16).round() * 16 if whole else boxes  # some become boxes without area


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(largest_overlap, "_SHORTEST", 7)
    monkeypatch.setattr(largest_overlap, "_PAIRS", 64)


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize("whole", [False, True])
def test_thousands_of_random_cases_over_many_chunks(whole: bool) -> None:
    generator = torch.Generator().manual_seed(int(whole))
    for _ in range(1500):
        count = int(torch.randint(1, 12, (), generator=generator))
        boxes = random_boxes(count, generator, whole)
        anchors = random_boxes(int(torch.randint(1, 60, (), generator=generator)), generator, whole)
        anchors[:, 2:] += 1  # an anchor has an area: two boxes without one have no IoU
        assert_equal(anchors, boxes)


@pytest.mark.parametrize("count", [1, 10, 100, 700])
def test_a_grid_of_anchors(count: int) -> None:
    anchors = torch.cat(GridAnchors([8, 16, 32, 64, 128])([(32, 40), (16, 20), (8, 10), (4, 5), (2, 3)], "cpu"))
    assert_equal(anchors, random_boxes(count, torch.Generator().manual_seed(count)))


def test_of_boxes_with_the_same_overlap_the_first_counts() -> None:
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    best, index, among = largest_overlaps(torch.cat([box, box + 5]), box.repeat(3, 1))
    assert best.tolist() == [1.0, pytest.approx(25 / 175)]
    assert index.tolist() == [0, 0]
    assert among.tolist() == [True, False]


def test_a_box_that_nothing_overlaps_has_no_best_anchor() -> None:
    best, index, among = largest_overlaps(torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([[20.0, 20.0, 30.0, 30.0]]))
    assert (best.tolist(), index.tolist(), among.tolist()) == ([0.0], [0], [False])


def test_boxes_that_do_not_count_are_as_if_they_were_not_there() -> None:
    generator = torch.Generator().manual_seed(0)
    anchors, boxes = random_boxes(200, generator), random_boxes(9, generator)
    counted = torch.tensor([False, True, True, False, True, True, False, True, False])
    best, index, among = largest_overlaps(anchors, boxes, counted)
    expected = by_matrix(anchors, boxes[counted])
    assert torch.equal(best, expected[0])
    assert torch.equal(index, counted.nonzero().flatten()[expected[1]])
    assert torch.equal(among, expected[2])


def test_where_no_box_counts_no_anchor_overlaps_one() -> None:
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    best, _, among = largest_overlaps(box, box, torch.tensor([False]))
    assert (best.tolist(), among.tolist()) == ([-1.0], [False])
