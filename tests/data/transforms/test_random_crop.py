import pytest
import torch

from dettoolkit.data.transforms import RandomCrop
from dettoolkit.errors import ConfigError
from dettoolkit.registry import TRANSFORMS


def sizes(transform, sample, count=60):
    torch.manual_seed(0)
    return {tuple(transform(sample)["image"].shape[-2:]) for _ in range(count)}


def test_size_in_pixels_in_shares_and_in_a_range(plain):
    sample = plain(size=(100, 150))
    assert sizes(RandomCrop((40, 60)), sample) == {(40, 60)}
    assert sizes(RandomCrop((0.5, 0.4), unit="share"), sample) == {(50, 60)}
    drawn = sizes(RandomCrop((10, 60), (14, 60)), sample)
    assert drawn == {(height, 60) for height in range(10, 15)}
    assert sizes(RandomCrop((0.5, 1.0), (0.52, 1.0), unit="share"), sample) == {(50, 150), (51, 150), (52, 150)}


def test_an_image_smaller_than_the_part_stays_whole(plain):
    out = RandomCrop((200, 60))(plain([(10, 20, 150, 90)], ignore=[True]))
    assert out["image"].shape == (3, 100, 60)
    assert RandomCrop((200, 300))(plain([(10, 20, 150, 90)]))["boxes"].tolist() == [[10, 20, 150, 90]]


@pytest.mark.parametrize(("min_visible", "labels"), [(0.0, [0, 1, 2]), (0.49, [0, 2]), (0.51, [2])])
def test_what_is_visible_enough_stays_and_ignore_regions_anyway(plain, min_visible, labels):
    # the part is the whole image: what reaches out of it is cut off all the same
    boxes = [(-10.0, 0, 10, 10), (149, 20, 1149, 30), (149, 40, 1149, 50)]  # half, a thousandth and a thousandth are inside
    out = RandomCrop((100, 150), min_visible=min_visible)(plain(boxes, ignore=[False, False, True]))
    assert out["labels"].tolist() == labels
    assert out["ignore"].tolist() == [label == 2 for label in labels]
    assert out["boxes"].tolist()[-1] == [149, 40, 150, 50]


def test_the_parts_pixels_are_a_view(plain):
    sample = plain()
    part = RandomCrop((40, 60))(sample)
    assert part["image"].untyped_storage().data_ptr() == sample["image"].untyped_storage().data_ptr()


@pytest.mark.parametrize(
    "box", [(0, 0, 1, 1), (149.2, 99.1, 150, 100), (70, 40, 90, 60), (5, 5, 145, 95), (10.5, 20.5, 11.9, 70)]
)
def test_an_object_is_kept_where_asked_for(plain, box):
    sample = plain([box, (0, 0, 150, 100)], ignore=[False, True])
    left, top, right, bottom = box
    for seed in range(40):
        torch.manual_seed(seed)
        out = RandomCrop((32, 32), min_visible=0.64, keep_object=True)(sample)
        assert out["labels"].tolist() == [0, 1]
        kept = out["boxes"].as_subclass(torch.Tensor)[0]
        width, height = (kept[2:] - kept[:2]).tolist()
        # 0.8 of either side (0.8 * 0.8 = 0.64), or all that a part of 32 pixels holds; a pixel at least of what has one
        assert width >= min(0.8 * (right - left), 32, 150) - 1e-3
        assert height >= min(0.8 * (bottom - top), 32) - 1e-3
        assert width >= min(1.0, right - left) - 1e-4


def test_which_object_is_kept_changes(plain):
    sample = plain([(0, 0, 10, 10), (140, 90, 150, 100)])
    torch.manual_seed(0)
    kept = {tuple(RandomCrop((20, 20), keep_object=True)(sample)["labels"].tolist()) for _ in range(30)}
    assert kept == {(0,), (1,)}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"SIZE": [0, 10]}, r"expected size and largest height in pixels as \[smallest, largest\], each above 0, got \[0"),
        ({"SIZE": [0.5, 10]}, r"expected size as \[height, width\], each 1 or more, got \[0.5, 10"),
        ({"SIZE": [0.5, 1.2], "UNIT": "share"}, r"size and largest width in share .*above 0 and at most 1, got \[1.2, 1.2\]"),
        ({"SIZE": [20, 20], "LARGEST": [30, 10]}, r"size and largest width in pixels .* got \[20.0, 10.0\]"),
        ({"SIZE": [20, 20], "MIN_VISIBLE": 1.5}, "expected min_visible between 0 and 1, got 1.5"),
        ({"SIZE": [20, 20], "UNIT": "percent"}, "T.0.UNIT: expected 'pixels' or 'share', got 'percent'"),
        ({"SIZE": [20]}, "T.0.SIZE: expected a list of 2: float, float, got"),
    ],
)
def test_sizes_that_nothing_has_are_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        TRANSFORMS.build({"NAME": "RandomCrop", **parameters}, "T.0")
