"""Views: which parts of an image are looked at, and the way back from each."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat, Image

from dettoolkit.data.views import Views, tile_regions
from dettoolkit.structures import Annotations, Sample

RESIZE = [
    {"NAME": "ResizeShortestEdge", "SIZES": [60], "MAX_SIZE": 200, "ANTIALIAS": True, "ROUNDING": "nearest", "DTYPE": "same"}
]


def sample(height: int = 100, width: int = 150) -> Sample:
    boxes = torch.tensor([[10.0, 20.0, 40.0, 60.0], [110.0, 70.0, 140.0, 95.0]])
    labels, ignore = torch.tensor([0, 1]), torch.tensor([False, False])
    return Sample(
        image=Image(torch.arange(3 * height * width).reshape(3, height, width).to(torch.uint8)),
        boxes=BoundingBoxes(boxes, format=BoundingBoxFormat.XYXY, canvas_size=(height, width)),
        labels=labels,
        ignore=ignore,
        original_size=(height, width),
        original=Annotations(boxes, labels, ignore),
    )


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 200), st.floats(0, 0.9))
def test_tiles_cover_the_image_and_share_what_they_should(height: int, width: int, side: int, overlap: float) -> None:
    regions = tile_regions((height, width), (side, side), overlap)
    rows = sorted({(top, bottom) for _, top, _, bottom in regions})
    columns = sorted({(left, right) for left, _, right, _ in regions})
    assert len(regions) == len(rows) * len(columns)
    for spans, length in ((rows, height), (columns, width)):
        assert (spans[0][0], spans[-1][1]) == (0, length)
        assert all(end - start == min(side, length) for start, end in spans)
        # starts are rounded to whole pixels, the step of a tile is one pixel at least
        needed = min(side * overlap, side - 1) - 1
        assert all(first[1] - second[0] >= needed for first, second in pairwise(spans))


def test_tiles_are_as_few_as_the_overlap_allows() -> None:
    # 640 with a fifth shared is a step of 512: 0, 512, 1024 would end at 1664 for 1664 pixels
    assert [left for left, *_ in tile_regions((100, 1664), (640, 640), 0.2)] == [0, 512, 1024]
    assert len(tile_regions((100, 1665), (640, 640), 0.2)) == 4


def test_regions_scales_and_flips_are_multiplied_and_the_plain_look_comes_first() -> None:
    views = Views(RESIZE, flip="both", scales=[1.0, 2.0], tile_size=100, tile_overlap=0.0)
    looks = views.of((100, 150))
    assert len(looks) == 3 * 2 * 4
    assert (looks[0].is_whole, looks[0].pipeline) == (True, 0)
    assert [look.region for look in looks[::8]] == [(0, 0, 150, 100), (0, 0, 100, 100), (50, 0, 150, 100)]


def test_an_image_no_larger_than_a_tile_is_looked_at_as_a_whole_only() -> None:
    for whole_image in (True, False):
        (look,) = Views([], tile_size=(100, 150), whole_image=whole_image).of((100, 150))
        assert look.is_whole


def test_without_the_whole_image_there_are_tiles_only() -> None:
    assert not any(look.is_whole for look in Views([], tile_size=100, whole_image=False).of((100, 150)))


@pytest.mark.parametrize("nodes", [RESIZE, []])
def test_each_view_maps_back_to_the_original_pixels(nodes: list) -> None:
    views = Views(nodes, flip="both", scales=[0.5, 1.0, 1.5], tile_size=(80, 100), tile_overlap=0.3)
    given = sample()
    for index, look in enumerate(views.of((100, 150))):
        seen = views.sample(given, index)
        assert (seen["num_views"], seen["view"]) == (len(views.of((100, 150))), look)
        left, top, right, bottom = look.region
        inside = [
            box for box in given["boxes"].tolist() if left < box[2] and box[0] < right and top < box[3] and box[1] < bottom
        ]
        cut = [[max(box[0], left), max(box[1], top), min(box[2], right), min(box[3], bottom)] for box in inside]
        cut = [box for box in cut if min(box[2] - box[0], box[3] - box[1]) > 4]
        back = seen["way_back"].boxes(seen["boxes"].as_subclass(Tensor), (100, 150))
        assert any(torch.allclose(box, torch.tensor(cut[0]), atol=1.5) for box in back) if cut else True
        assert len(back) >= len(cut)


def test_a_scale_multiplies_the_configured_size_and_pixels_are_made_once() -> None:
    views = Views(RESIZE, scales=[1.0, 2.0])
    sizes = [tuple(views.sample(sample(), index)["image"].shape[-2:]) for index in range(2)]
    assert sizes == [(60, 90), (120, 180)]


def test_without_a_resize_a_scale_is_of_the_original_size() -> None:
    assert tuple(Views([], scales=[1.0, 0.5]).sample(sample(), 1)["image"].shape[-2:]) == (50, 75)


def test_the_pixels_of_a_tile_are_those_of_the_image() -> None:
    given = sample()
    views = Views([], tile_size=100, whole_image=False, tile_overlap=0.0)
    seen = views.sample(given, 1)
    assert torch.equal(seen["image"].as_subclass(Tensor), given["image"].as_subclass(Tensor)[:, :, 50:150])


def test_one_look_is_plain() -> None:
    assert Views(RESIZE).is_plain
    assert not Views(RESIZE, flip="horizontal").is_plain
    assert not Views(RESIZE, tile_size=10).is_plain


def test_a_single_scale_other_than_1_is_no_plain_look() -> None:
    views = Views(RESIZE, scales=[2.0])
    assert not views.is_plain
    assert tuple(views.sample(sample(), 0)["image"].shape[-2:]) == (120, 180)
