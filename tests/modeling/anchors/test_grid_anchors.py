"""Anchors worked by hand, and those of Detectron2."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from dettoolkit.modeling.anchors import GridAnchors


def test_shapes_keep_the_area_and_are_ordered_by_scale_then_ratio() -> None:
    # height / width 1/4, 1, 4 at an area of 32^2: 64 x 16, 32 x 32, 16 x 64 (width x height); twice that at 64^2
    anchors = GridAnchors([8], sizes=[[32, 64]], aspect_ratios=(0.25, 1.0, 4.0))
    assert anchors.num_anchors == 6
    assert anchors([(1, 1)], "cpu")[0].tolist() == [
        [-32, -8, 32, 8],
        [-16, -16, 16, 16],
        [-8, -32, 8, 32],
        [-64, -16, 64, 16],
        [-32, -32, 32, 32],
        [-16, -64, 16, 64],
    ]


def test_locations_run_row_by_row_with_all_shapes_of_one_before_the_next() -> None:
    (boxes,) = GridAnchors([8], sizes=[[4, 2]], aspect_ratios=(1.0,))([(2, 3)], "cpu")
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    expected = [[x, y] for y in (0, 8) for x in (0, 8, 16) for _ in range(2)]
    assert centers.tolist() == expected
    assert (boxes[:, 2] - boxes[:, 0]).tolist() == [4, 2] * 6


@pytest.mark.parametrize(("offset", "first"), [(0.0, [-8, -8, 8, 8]), (0.5, [-4, -4, 12, 12])])
def test_offset_places_the_first_centre_in_its_cell(offset: float, first: list[float]) -> None:
    anchors = GridAnchors([8], sizes=[[16]], aspect_ratios=(1.0,), offset=offset)
    assert anchors([(1, 2)], "cpu")[0].tolist() == [first, [first[0] + 8, first[1], first[2] + 8, first[3]]]


def test_sizes_of_the_paper_are_octaves_of_four_strides() -> None:
    anchors = GridAnchors([8, 16, 32, 64, 128])  # section 4: areas of 32^2 to 512^2 at 2^0, 2^(1/3), 2^(2/3)
    assert anchors.num_anchors == 9
    for base, boxes in zip([32, 64, 128, 256, 512], anchors([(1, 1)] * 5, "cpu"), strict=True):
        sides = boxes[:, 2:] - boxes[:, :2]
        areas = [(base * scale) ** 2 for scale in (1, 1.259921, 1.587401) for _ in range(3)]
        torch.testing.assert_close(sides.prod(1), torch.tensor(areas))
        torch.testing.assert_close(sides[:, 1] / sides[:, 0], torch.tensor([0.5, 1.0, 2.0] * 3))


def test_base_scale_is_the_smallest_anchor_in_strides() -> None:
    boxes = GridAnchors([8, 32], scales_per_octave=1, aspect_ratios=(1.0,), base_scale=2)([(1, 1)] * 2, "cpu")
    assert [float(level[0, 2] - level[0, 0]) for level in boxes] == [16, 64]


@pytest.mark.parametrize("image_size", [(480, 640), (800, 1088), (96, 160)])
def test_rounded_and_spaced_as_torchvisions_they_are_torchvisions_in_another_order(image_size: tuple[int, int]) -> None:
    sizes = [[32, 40, 50], [64, 80, 101], [128, 161, 203], [256, 322, 406], [512, 645, 812]]
    strides = [8, 16, 32, 64, 128]
    map_sizes = [tuple(math.ceil(side / stride) for side in image_size) for stride in strides]
    ours = GridAnchors(strides, sizes=sizes, round_corners=True, spacing="image_over_map")(map_sizes, "cpu")

    generator = AnchorGenerator(tuple(map(tuple, sizes)), ((0.5, 1.0, 2.0),) * 5)
    images = ImageList(torch.zeros(1, 3, *image_size), [image_size])
    (theirs,) = generator(images, [torch.zeros(1, 1, *size) for size in map_sizes])
    # theirs are ratio-major at each location
    as_ours = theirs.view(-1, 3, 3, 4).transpose(1, 2).reshape(-1, 4)
    torch.testing.assert_close(torch.cat(ours), as_ours, rtol=0, atol=0)


def test_each_level_may_have_sizes_of_its_own() -> None:
    boxes = GridAnchors([8, 16], sizes=[[10, 12], [40, 80]], aspect_ratios=(1.0,))([(1, 1)] * 2, "cpu")
    assert [(level[:, 2] - level[:, 0]).tolist() for level in boxes] == [[10, 12], [40, 80]]


def test_the_count_is_that_of_all_cells() -> None:
    sizes = [(5, 7), (3, 4), (2, 2)]
    boxes = GridAnchors([8, 16, 32])(sizes, "cpu")
    assert [level.shape for level in boxes] == [(h * w * 9, 4) for h, w in sizes]
    assert {level.dtype for level in boxes} == {torch.float32}


def test_the_same_map_sizes_give_the_same_tensors() -> None:
    anchors = GridAnchors([8, 16])
    first = anchors([(4, 4), (2, 2)], "cpu")
    assert anchors(((4, 4), (2, 2)), torch.device("cpu")) is first
    assert anchors([(4, 5), (2, 3)], "cpu") is not first
    assert anchors([(4, 4), (2, 2)], "meta")[0].device.type == "meta"


def test_ever_new_map_sizes_do_not_fill_the_memory() -> None:
    anchors = GridAnchors([8])
    for width in range(1, 200):
        anchors([(1, width)], "cpu")
    assert len(anchors._cache) == 64
    assert anchors([(1, 3)], "cpu")[0].shape == (27, 4)


@pytest.mark.parametrize("sizes", [[[32]], [[32], [64, 90]], [[], []]])
def test_sizes_that_do_not_go_with_the_levels_are_shown(sizes: list[list[float]]) -> None:
    with pytest.raises(ValueError, match=r"sizes .*expect"):
        GridAnchors([8, 16], sizes=sizes)


def test_numbers_that_are_not_positive_are_refused() -> None:
    with pytest.raises(ValueError, match=r"positive numbers, got .* and \[1.0, -2.0\]"):
        GridAnchors([8], aspect_ratios=(1.0, -2.0))
    with pytest.raises(ValueError, match="positive numbers"):
        GridAnchors([8], scales_per_octave=0)
    with pytest.raises(ValueError, match="positive numbers"):
        GridAnchors([8], sizes=[[0]])


def test_maps_of_another_number_of_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        GridAnchors([8, 16])([(2, 2)], "cpu")


def test_anchors_are_detectron2s(real_data: Path) -> None:
    folder = real_data / "detectron2_reference"
    if not folder.is_dir():
        pytest.skip("no detectron2_reference among the real data")
    reference = np.load(folder / "d2_r50.npz")
    names = [f"p{level}" for level in range(3, 8)]
    map_sizes = [tuple(int(side) for side in reference[f"{name}/feature/shape"][-2:]) for name in names]
    assert map_sizes[0] == (60, 80)  # 480 x 640 pixels
    for name, boxes in zip(names, GridAnchors([8, 16, 32, 64, 128])(map_sizes, "cpu"), strict=True):
        assert len(boxes) == int(reference[f"{name}/anchors_count"])
        np.testing.assert_allclose(boxes[:27], reference[f"{name}/anchors_first"], rtol=0, atol=1e-4)
        np.testing.assert_allclose(boxes[-27:], reference[f"{name}/anchors_last"], rtol=0, atol=1e-4)
