import pytest
import torch

from dettoolkit.data.transforms import LargeScaleJitter
from dettoolkit.errors import ConfigError, DataError
from dettoolkit.registry import TRANSFORMS


def test_a_small_image_lies_at_the_left_and_top_of_the_fill(plain):
    # 100 x 150 fits into 200 x 200 at 4/3; half of that is 2/3: 66.7 x 100
    out = LargeScaleJitter((200, 200), (0.5, 0.5), fill=[1, 2, 3])(plain([(30, 30, 60, 90)]))
    assert out["image"].shape == (3, 200, 200)
    assert out["boxes"].tolist() == [[20, pytest.approx(30 * 67 / 100), 40, pytest.approx(90 * 67 / 100)]]
    assert (out["image"][:, :67, :100] == 50).all()
    assert out["image"][:, 67, 0].tolist() == out["image"][:, 0, 100].tolist() == [1, 2, 3]


def test_a_large_image_is_cut_at_random(plain):
    # 100 x 150 at factor 2 of fitting into 100 x 150: 200 x 300
    transform = LargeScaleJitter((100, 150), (2.0, 2.0))
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        out = transform(plain([(60, 40, 90, 60)]))  # 120 80 180 120 of 300 x 200: some of it in every part
        assert out["image"].shape == (3, 100, 150)
        assert (out["image"] == 50).all()
        ((left, top, right, bottom),) = out["boxes"].tolist()
        assert right - left <= 60
        assert bottom - top <= 40
        seen.add((left, top))
    assert len(seen) > 10


def test_the_factor_is_drawn_from_the_range(plain):
    torch.manual_seed(0)
    transform = LargeScaleJitter((150, 150), (0.1, 1.0))
    widths = [transform(plain([(0, 0, 150, 100)]))["boxes"].tolist()[0][2] for _ in range(300)]
    assert 15 <= min(widths) < 20
    assert 145 < max(widths) <= 150
    # uniform from 15 to 150: the mean is 82.5, its standard deviation 135 / sqrt(12 * 300) = 2.25
    assert sum(widths) / 300 == pytest.approx(82.5, abs=4 * 2.25)


def test_the_size_of_the_paper_is_the_default_range():
    assert LargeScaleJitter((1024, 1024)).scale_range == (0.1, 2.0)


def test_a_fill_for_other_channels_is_told(plain):
    with pytest.raises(DataError, match="FILL has 3 values for an image of 5 channels"):
        LargeScaleJitter((300, 300), (1.0, 1.0), fill=[1, 2, 3])(plain(channels=5))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"SIZE": [0, 10]}, r"expected size as \[height, width\], each 1 or more, got \[0, 10\]"),
        (
            {"SIZE": [9, 9], "SCALE_RANGE": [0.0, 1.0]},
            r"expected scale_range as \[smallest, largest\], each above 0, got \[0.0",
        ),
        ({"SIZE": [9, 9], "SCALE_RANGE": [2.0, 1.0]}, r"expected scale_range .* got \[2.0, 1.0\]"),
        ({"SIZE": [9, 9], "FILL": "grey"}, "T.0.FILL: expected int or list of int, got 'grey'"),
        ({"SIZE": [9, 9], "MIN_VISIBLE": -0.1}, "expected min_visible between 0 and 1, got -0.1"),
    ],
)
def test_what_cannot_be_is_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        TRANSFORMS.build({"NAME": "LargeScaleJitter", **parameters}, "T.0")
