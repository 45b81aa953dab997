import pytest
import torch

from dettoolkit.data.transforms import Mosaic
from dettoolkit.errors import ConfigError
from dettoolkit.registry import TRANSFORMS


def four(plain, size):
    return [plain([(0, 0, size[1], size[0])], size, value, name=f"{value}.png") for value in (10, 20, 30, 40)]


def test_four_images_meet_at_the_point(plain):
    # half of each 100 x 150 image is 50 x 75 and fits its field exactly when the point is the middle
    first, *extras = four(plain, (100, 150))
    out = Mosaic((100, 150), (0.5, 0.5), (0.5, 0.5))(first, extras)
    fields = [out["image"][:, :50, :75], out["image"][:, :50, 75:], out["image"][:, 50:, :75], out["image"][:, 50:, 75:]]
    assert [field.unique().tolist() for field in fields] == [[10], [20], [30], [40]]
    assert out["boxes"].tolist() == [[0, 0, 75, 50], [75, 0, 150, 50], [0, 50, 75, 100], [75, 50, 150, 100]]
    assert out["file_name"] == "10.png"


def test_small_images_touch_the_point_and_fill_is_around_them(plain):
    # a quarter of 100 x 100 around the point (50, 50)
    first, *extras = four(plain, (100, 100))
    out = Mosaic((100, 100), (0.5, 0.5), (0.25, 0.25), fill=7)(first, extras)
    assert out["boxes"].tolist() == [[25, 25, 50, 50], [50, 25, 75, 50], [25, 50, 50, 75], [50, 50, 75, 75]]
    assert int((out["image"][0] == 7).sum()) == 100 * 100 - 4 * 25 * 25


def test_the_point_moves_within_its_range(plain):
    torch.manual_seed(0)
    first, *extras = four(plain, (100, 100))
    points = []
    for _ in range(60):
        image = Mosaic((100, 100), (0.3, 0.6), (1.0, 1.0))(first, extras)["image"][0]
        points.append((int((image[0] == 10).sum()), int((image[:, 0] == 10).sum())))
    for axis in (0, 1):
        values = [point[axis] for point in points]
        assert 30 <= min(values) < 35 < 55 < max(values) <= 60


def test_objects_of_which_little_is_left_go_and_ignore_regions_stay(plain):
    # the point in the middle of 100 x 100, every image shows a quarter of itself: of a box over the whole image 1/4
    def sample(ignore):
        return plain([(0, 0, 100, 100)], (100, 100), ignore=[ignore])

    marks = [False, True, False, True]
    first, *extras = [sample(mark) for mark in marks]
    assert len(Mosaic((100, 100), (0.5, 0.5), (1.0, 1.0), min_visible=0.24)(first, extras)["boxes"]) == 4
    out = Mosaic((100, 100), (0.5, 0.5), (1.0, 1.0), min_visible=0.26)(first, extras)
    assert out["boxes"].tolist() == [[50, 0, 100, 50], [50, 50, 100, 100]]
    assert out["ignore"].tolist() == [True, True]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"SIZE": [1, 10]}, r"expected size as \[height, width\], each 2 or more, got \[1, 10\]"),
        ({"SIZE": [9, 9], "CENTER_RANGE": [0.5, 1.5]}, r"expected center_range .* above 0 and at most 1, got \[0.5, 1.5\]"),
        ({"SIZE": [9, 9], "SCALE_RANGE": [-1.0, 1.0]}, "expected scale_range"),
        ({"SIZE": [9, 9], "MIN_VISIBLE": 2.0}, "expected min_visible between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        TRANSFORMS.build({"NAME": "Mosaic", **parameters}, "T.0")
