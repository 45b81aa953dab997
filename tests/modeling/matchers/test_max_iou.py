"""Matching worked by hand, and torchvision's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from dettoolkit.modeling.anchors import GridAnchors
from dettoolkit.modeling.matchers import MaxIoUMatcher
from dettoolkit.structures import Annotations

BOX = [0.0, 0.0, 10.0, 10.0]
FAR = [500.0, 500.0, 510.0, 510.0]


def of_height(*heights: float) -> list[Tensor]:
    """Return one level of anchors that overlap BOX by a tenth of their height."""
    return [torch.tensor([[0.0, 0.0, 10.0, height] for height in heights])]


def annotations(boxes: list[list[float]], crowds: list[bool] | None = None) -> Annotations:
    ignore = torch.tensor(crowds or [False] * len(boxes), dtype=torch.bool)
    return Annotations(torch.tensor(boxes).reshape(-1, 4), torch.zeros(len(boxes), dtype=torch.int64), ignore)


def match(matcher: MaxIoUMatcher, anchors: list[Tensor], truth: Annotations) -> list[int]:
    return matcher(anchors, truth).indices.tolist()


def random_boxes(count: int, seed: int) -> Tensor:
    """Return boxes inside of a picture of 256 pixels, where anchors are."""
    generator = torch.Generator().manual_seed(seed)
    center = torch.rand(count, 2, generator=generator) * 200 + 20
    half = torch.rand(count, 2, generator=generator) * 60 + 4
    return torch.cat([(center - half).clamp(min=0), (center + half).clamp(max=256)], dim=1)


def test_iou_decides_between_positive_ignored_and_negative() -> None:
    # IoU 1, 0.5 (positive from it on), 0.45, 0.4 (not below), 0.39
    matcher = MaxIoUMatcher(0.5, 0.4, allow_low_quality=False)
    assert match(matcher, of_height(10, 5, 4.5, 4, 3.9), annotations([BOX])) == [0, 0, -2, -2, -1]


def test_equal_thresholds_ignore_nothing() -> None:
    matcher = MaxIoUMatcher(0.5, 0.5, allow_low_quality=False)
    assert match(matcher, of_height(5, 4.9, 1), annotations([BOX])) == [0, -1, -1]


def test_an_anchor_stands_for_the_box_that_it_overlaps_most() -> None:
    matcher = MaxIoUMatcher(allow_low_quality=False)
    assert match(matcher, of_height(10), annotations([[0.0, 0.0, 10.0, 6.0], BOX, [0.0, 0.0, 10.0, 9.0]])) == [1]


def test_low_quality_gives_each_box_its_best_anchors() -> None:
    # no anchor reaches 0.5; the two that tie at 0.3 are positive
    anchors = of_height(2, 3, 3, 1)
    assert match(MaxIoUMatcher(), anchors, annotations([BOX])) == [-1, 0, 0, -1]
    assert match(MaxIoUMatcher(allow_low_quality=False), anchors, annotations([BOX])) == [-1, -1, -1, -1]


def test_a_best_anchor_stands_for_the_box_that_it_overlaps_most_itself() -> None:
    # one anchor is the best of both boxes; it overlaps the second more (0.4 against 0.2): Detectron2, torchvision
    truth = annotations([[0.0, 0.0, 10.0, 2.0], [0.0, 0.0, 10.0, 4.0]])
    assert match(MaxIoUMatcher(), of_height(10), truth) == [1]


def test_a_box_that_overlaps_no_anchor_makes_none_positive() -> None:
    assert match(MaxIoUMatcher(), of_height(10, 3), annotations([FAR])) == [-1, -1]
    assert match(MaxIoUMatcher(), of_height(10, 3), annotations([FAR, BOX])) == [1, -1]


@pytest.mark.parametrize("low_quality", [False, True])
@pytest.mark.parametrize("seed", list(range(1, 9)))
def test_matches_are_torchvisions(low_quality: bool, seed: int) -> None:
    levels = GridAnchors([8, 16, 32])([(32, 32), (16, 16), (8, 8)], "cpu")
    boxes = random_boxes(1 + 3 * seed, seed)
    matches = MaxIoUMatcher(0.5, 0.4, low_quality)(levels, annotations(boxes.tolist()))
    expected = Matcher(0.5, 0.4, allow_low_quality_matches=low_quality)(box_iou(boxes, torch.cat(levels)))
    assert matches.indices.dtype == torch.int64
    assert matches.quality is None
    assert (expected >= 0).any()
    assert matches.indices.equal(expected)


def test_hundreds_of_boxes() -> None:
    levels = GridAnchors([8, 16])([(32, 32), (16, 16)], "cpu")
    boxes = random_boxes(500, 9)
    expected = Matcher(0.5, 0.4, allow_low_quality_matches=True)(box_iou(boxes, torch.cat(levels)))
    assert MaxIoUMatcher()(levels, annotations(boxes.tolist())).indices.equal(expected)


def test_an_image_without_boxes_is_background() -> None:
    assert match(MaxIoUMatcher(), of_height(10, 5), Annotations.empty()) == [-1, -1]


def test_anchors_of_a_crowd_are_ignored_by_the_share_of_their_area() -> None:
    # the region covers all of the first, half of the second and 0.4 of the third; its own area does not count
    anchors = [torch.tensor([[0.0, 0.0, 2.0, 2.0], [95.0, 0.0, 105.0, 10.0], [96.0, 0.0, 106.0, 10.0], FAR])]
    crowd = annotations([[0.0, 0.0, 100.0, 100.0]], [True])
    assert match(MaxIoUMatcher(), anchors, crowd) == [-2, -2, -1, -1]
    assert match(MaxIoUMatcher(ignore_crowd_from=0.4), anchors, crowd) == [-2, -2, -2, -1]
    assert match(MaxIoUMatcher(ignore_crowd_from=None), anchors, crowd) == [-1, -1, -1, -1]


def test_indices_count_crowds_and_objects_together() -> None:
    anchors = [torch.tensor([BOX, [40.0, 40.0, 50.0, 50.0], [200.0, 200.0, 210.0, 210.0], [300.0, 300.0, 310.0, 310.0]])]
    truth = annotations(
        [[190.0, 190.0, 220.0, 220.0], BOX, [600.0, 600.0, 700.0, 700.0], [40.0, 40.0, 50.0, 50.0]],
        [True, False, True, False],
    )
    assert match(MaxIoUMatcher(), anchors, truth) == [1, 3, -2, -1]


def test_a_crowd_is_no_object_and_takes_no_object_its_anchors() -> None:
    truth = annotations([BOX, BOX], [True, False])
    assert match(MaxIoUMatcher(), of_height(10, 3), truth) == [1, -2]
    # a low-quality match stays as well
    assert match(MaxIoUMatcher(), of_height(3, 2), truth) == [1, -2]


def test_levels_are_matched_together() -> None:
    levels = [*of_height(10), *of_height(3), *of_height(4.5)]
    assert match(MaxIoUMatcher(), levels, annotations([BOX])) == [0, -1, -2]


@pytest.mark.parametrize(("positive", "negative"), [(0.4, 0.5), (1.5, 0.4), (0.5, -0.1)])
def test_thresholds_out_of_order_are_shown(positive: float, negative: float) -> None:
    with pytest.raises(ValueError, match=f"positive_from <= 1, got {negative} and {positive}"):
        MaxIoUMatcher(positive, negative)


@pytest.mark.parametrize("options", [{}, {"allow_low_quality": False}, {"ignore_crowd_from": None}, {"positive_from": 0.3}])
def test_masking_rows_gives_the_matches_of_picking_them(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, float | None]
) -> None:
    # accelerators mask: how many crowds there are is on the device; ties are frequent with whole coordinates
    matcher = MaxIoUMatcher(**{"negative_below": 0.2, **options})  # type: ignore[arg-type]
    levels = GridAnchors([16, 32], scales_per_octave=1)([(16, 16), (8, 8)], "cpu")
    generator, seen = torch.Generator().manual_seed(0), set()
    for seed in range(105):
        boxes = (random_boxes(seed % 7, seed) / 32).round() * 32 + torch.tensor([0.0, 0.0, 16.0, 16.0])
        share = (0.0, 0.5, 1.0)[seed % 3]
        crowds = torch.rand(len(boxes), generator=generator) < share
        truth = Annotations(boxes, torch.zeros(len(boxes), dtype=torch.int64), crowds)
        monkeypatch.setattr("dettoolkit.modeling.matchers.max_iou.picks_at_once", lambda device: True)
        picked = matcher(levels, truth).indices
        monkeypatch.setattr("dettoolkit.modeling.matchers.max_iou.picks_at_once", lambda device: False)
        assert torch.equal(matcher(levels, truth).indices, picked)
        truth.has_crowds = bool(crowds.any())
        assert torch.equal(matcher(levels, truth).indices, picked)
        seen |= set(picked.tolist())
    assert seen >= {-2, -1, 0, 1, 2, 3, 4, 5}
