import pytest
import torch

from dettoolkit.data.transforms import CopyPaste
from dettoolkit.data.transforms.occlusion import Occlusion
from dettoolkit.errors import ConfigError
from dettoolkit.registry import TRANSFORMS


def test_a_piece_brings_its_pixels_its_box_and_what_else_it_shows(plain):
    # the piece around the first box shows half of the second (from 15 on), and a strip of the ignore region
    boxes = [(10, 10, 20, 30), (15, 10, 25, 30), (0, 25, 150, 100)]
    other = plain(boxes, value=200, ignore=[False, False, True])
    for seed in range(30):
        torch.manual_seed(seed)
        out = CopyPaste(1, (1.0, 1.0), 0.4)(plain(value=50), [other])
        rows, columns = torch.nonzero(out["image"][0] == 200, as_tuple=True)
        x, y = float(columns.min()), float(rows.min())
        assert len(rows) == 10 * 20
        assert torch.equal(out["image"][0], out["image"][2])
        found = dict(zip(out["labels"].tolist(), out["boxes"].tolist(), strict=True))
        whole, half = ([x, y, x + 10, y + 20], [x + 5, y, x + 10, y + 20])
        assert found in (
            {0: whole, 1: half, 2: [x, y + 15, x + 10, y + 20]},
            {0: [x, y, x + 5, y + 20], 1: whole, 2: [x, y + 15, x + 10, y + 20]},
        )
        assert out["ignore"].tolist() == [False, False, True]


def test_nothing_is_pasted_of_ignore_regions_of_empty_images_and_of_what_does_not_fit(plain):
    given = plain([(1, 2, 3, 4)], size=(20, 20))
    others = [plain(), plain([(10, 10, 30, 30)], ignore=[True]), plain([(0, 0, 15, 21)]), plain([(5, 5, 5, 9)])]
    for other in others:
        out = CopyPaste(scale_range=(1.0, 1.0))(given, [other])
        assert out["boxes"].tolist() == [[1, 2, 3, 4]]
        assert (out["image"] == 50).all()


def test_scaled_pieces_have_scaled_boxes(plain):
    out = CopyPaste(1, (2.0, 2.0))(plain(value=50), [plain([(10, 10, 20, 30)], value=200)])
    left, top, right, bottom = out["boxes"].tolist()[0]
    assert (right - left, bottom - top) == (20, 40)
    assert int((out["image"][0] == 200).sum()) == 20 * 40


def test_the_edge_fades(plain):
    torch.manual_seed(0)
    out = CopyPaste(1, (1.0, 1.0), feather=3)(plain(value=0), [plain([(10, 10, 30, 30)], value=200)])
    left, top, _, bottom = (int(side) for side in out["boxes"].tolist()[0])
    middle = (top + bottom) // 2
    # 1/4, 2/4, 3/4 and then all of 200
    assert out["image"][0, middle, left : left + 5].tolist() == [50, 100, 150, 200, 200]
    # at a corner both edges count: 1/16, 4/16, 9/16
    assert [int(out["image"][0, top + k, left + k]) for k in range(4)] == [12, 50, 112, 200]


def test_how_many_are_pasted(plain):
    torch.manual_seed(0)
    other = plain([(10.0 * k, 0, 10.0 * k + 2, 2) for k in range(10)])
    counts = {len(CopyPaste(3, min_visible=0.0)(plain(), [other])["boxes"]) for _ in range(60)}
    assert counts == {1, 2, 3}


def covered(plain, boxes, pieces, min_visible=0.3, ignore=None):
    """Return labels and boxes of what is seen under pieces ``(left, top, right, bottom)`` without objects."""
    occlusion = Occlusion(plain(boxes, ignore=ignore))
    for left, top, right, bottom in pieces:
        occlusion.cover(plain(size=(bottom - top, right - left)), left, top)
    found, labels, _ = occlusion.visible(min_visible)
    return dict(zip(labels.tolist(), found.tolist(), strict=True))


def test_a_covered_object_shrinks_to_what_is_seen_of_it_and_goes_below_the_share(plain):
    box = (10.5, 10, 20, 20)  # 10 x 10 pixels
    assert covered(plain, [box], [(0, 0, 14, 100)]) == {0: [14, 10, 20, 20]}
    assert covered(plain, [box], [(16, 0, 100, 100)]) == {0: [10.5, 10, 16, 20]}
    assert covered(plain, [box], [(12, 12, 18, 18)]) == {0: [10.5, 10, 20, 20]}  # a hole: 64 of 100
    assert covered(plain, [box], [(0, 0, 14, 100), (16, 0, 100, 100)]) == {}  # 20 of 100 are between
    assert covered(plain, [box], [(0, 0, 14, 100), (16, 0, 100, 100)], 0.19) == {0: [14, 10, 16, 20]}
    assert covered(plain, [box], [(0, 0, 100, 100)], 0.0) == {}
    assert covered(plain, [box], [(0, 0, 100, 100)], ignore=[True]) == {0: [10.5, 10, 20, 20]}


def test_a_later_piece_covers_an_earlier_ones_object_and_not_its_own(plain):
    occlusion = Occlusion(plain())
    occlusion.cover(plain([(0, 0, 10, 10)], (10, 10)), 20, 20)
    occlusion.cover(plain([(0, 0, 10, 10)], (10, 10)), 26, 20)
    boxes, _, _ = occlusion.visible(0.5)
    assert boxes.tolist() == [[20, 20, 26, 30], [26, 20, 36, 30]]
    assert occlusion.visible(0.7)[0].tolist() == [[26, 20, 36, 30]]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"MAX_OBJECTS": 0}, "expected max_objects >= 1 and feather >= 0, got 0 and 0"),
        ({"FEATHER": -1}, "expected max_objects >= 1 and feather >= 0, got 5 and -1"),
        ({"SCALE_RANGE": [0.0, 1.0]}, "expected scale_range"),
        ({"MIN_VISIBLE": 7.0}, "expected min_visible between 0 and 1, got 7.0"),
    ],
)
def test_what_cannot_be_is_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        TRANSFORMS.build({"NAME": "CopyPaste", **parameters}, "T.0")
