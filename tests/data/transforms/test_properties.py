"""What holds for every transform that crops, scales or mixes: boxes, labels and marks stay with what they enclose.

The objects of the samples are painted in a colour of their own on noise, so that the picture tells where each of them is.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors

from dettoolkit.data.transforms import Pipeline, build_transforms

NOISE = 60  # noise is below, objects are from 80 on
CELL = 12


def color_of(label):
    return 80 + 4 * label


def painted(boxes, first_label=0, size=(48, 60), channels=3, seed=0):
    """Return a sample with integer boxes, labels counted from ``first_label``; every third label is an ignore region."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(NOISE, (channels, *size), generator=generator, dtype=torch.uint8)
    labels = torch.arange(first_label, first_label + len(boxes))
    for label, (left, top, right, bottom) in zip(labels.tolist(), boxes, strict=True):
        pixels[:, top:bottom, left:right] = color_of(label)
    return {
        "image": tv_tensors.Image(pixels),
        "boxes": tv_tensors.BoundingBoxes(
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), format="XYXY", canvas_size=size
        ),
        "labels": labels,
        "ignore": labels % 3 == 2,
        "image_id": first_label,
        "file_name": f"{first_label}.png",
        "original_size": size,
    }


@st.composite
def boxes_in(draw, size):
    """At most ten boxes, no two of which touch: one in each cell of a grid, or none."""
    height, width = size
    cells = [(x, y) for y in range(0, height, CELL) for x in range(0, width, CELL)]
    chosen = draw(st.lists(st.sampled_from(cells), unique=True, max_size=10)) if cells else []
    boxes = []
    for x, y in chosen:
        right, bottom = min(x + CELL - 1, width), min(y + CELL - 1, height)
        left, top = draw(st.integers(x, right - 1)), draw(st.integers(y, bottom - 1))
        boxes.append((left, top, draw(st.integers(left + 1, right)), draw(st.integers(top + 1, bottom))))
    return boxes


@st.composite
def samples(draw, count=1, sizes=None, channels=None):
    """``count`` samples of as many channels, with different labels: of one or ten boxes, or none; of any size from 1 x 1 on."""
    channels = draw(st.sampled_from([1, 3, 5])) if channels is None else channels
    made, label = [], 0
    for number in range(count):
        size = draw(st.tuples(st.integers(1, 60), st.integers(1, 60))) if sizes is None else sizes
        boxes = draw(boxes_in(size))
        made.append(painted(boxes, label, size, channels, number))
        label += len(boxes)
    return made


def extent(image, label):
    """Return how many pixels have the colour of a label, and the xyxy box around them (None without any)."""
    rows, columns = torch.nonzero(image[0] == color_of(label), as_tuple=True)
    if not len(rows):
        return 0, None
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return len(rows), [float(side) for side in box]


def areas(*given):
    """Return the area of each box of some samples by its label."""
    return {
        int(label): float((box[2] - box[0]) * (box[3] - box[1]))
        for sample in given
        for label, box in zip(sample["labels"], sample["boxes"].as_subclass(torch.Tensor), strict=True)
    }


def by_label(sample):
    """Return the boxes of a sample by label; each label comes once."""
    labels = sample["labels"].tolist()
    assert len(set(labels)) == len(labels)
    return dict(zip(labels, sample["boxes"].tolist(), strict=True))


SEEDS = st.integers(0, 2**32)
SHARE = 0.371234  # of no whole number of pixels of these boxes

CROPPING = [
    {"NAME": "RandomIoUCrop"},
    {"NAME": "RandomCrop", "SIZE": [20, 25]},
    {"NAME": "RandomCrop", "SIZE": [0.2, 0.3], "LARGEST": [1.0, 0.9], "UNIT": "share", "KEEP_OBJECT": True},
    {"NAME": "LargeScaleJitter", "SIZE": [40, 50]},
    {"NAME": "LargeScaleJitter", "SIZE": [33, 20], "SCALE_RANGE": [0.5, 3.0], "MIN_VISIBLE": 0.5, "FILL": 7},
]
MIXING = [
    {"NAME": "Mosaic", "SIZE": [40, 50]},
    {"NAME": "Mosaic", "SIZE": [2, 3], "FILL": 0},
    {"NAME": "MixUp"},
    {"NAME": "CopyPaste", "MAX_OBJECTS": 9, "FEATHER": 2},
    {"NAME": "CopyPaste", "SCALE_RANGE": [0.1, 4.0]},
]
BY_NAME = [
    {"NAME": "ColorJitter", "BRIGHTNESS": 0.3},
    {"NAME": "RandomPhotometricDistort", "P": 1.0},
    {"NAME": "RandomGrayscale", "P": 1.0},
    {"NAME": "GaussianBlur", "KERNEL_SIZE": 3},
    {"NAME": "ScaleJitter", "TARGET_SIZE": [40, 50]},
]


def ids(node):
    return "-".join(str(value) for value in node.values()) if isinstance(node, dict) else None


def drawing_from(extras):
    """Return a function that gives the samples again and again."""
    left = []

    def draw():
        if not left:
            left.extend(extras)
        return left.pop(0)

    return draw


def transformed(node, given_samples, seed=0):
    pipeline = Pipeline(build_transforms([node], "T"))
    first, *extras = given_samples
    return pipeline(first, (seed,), drawing_from(extras))


def check_in_step(out, channels):
    """Check what the model relies on, whatever the transform does."""
    image, boxes = out["image"], out["boxes"].as_subclass(torch.Tensor)
    height, width = image.shape[-2:]
    assert image.dtype == torch.uint8
    assert image.shape[0] == channels
    assert (boxes.dtype, out["labels"].dtype, out["ignore"].dtype) == (torch.float32, torch.int64, torch.bool)
    assert out["boxes"].canvas_size == (height, width)
    assert len(boxes) == len(out["labels"]) == len(out["ignore"])
    assert torch.equal(out["ignore"], out["labels"] % 3 == 2)
    assert (boxes[:, 2:] - boxes[:, :2] >= 1).all()
    assert (boxes >= 0).all()
    assert (boxes <= torch.tensor([width, height, width, height])).all()


@pytest.mark.parametrize("node", CROPPING + MIXING, ids=ids)
@settings(max_examples=25, deadline=None)
@given(data=samples(count=4), seed=SEEDS)
def test_any_sample_comes_out_in_step_the_same_by_seed_and_the_given_ones_stay(node, data, seed):
    before = [(sample["image"].clone(), sample["boxes"].tolist(), sample["labels"].tolist()) for sample in data]
    out, again = transformed(node, data, seed), transformed(node, data, seed)
    check_in_step(out, data[0]["image"].shape[0])
    assert (out["file_name"], out["image_id"]) == (data[0]["file_name"], data[0]["image_id"])
    assert torch.equal(out["image"], again["image"])
    assert out["boxes"].tolist() == again["boxes"].tolist()
    for sample, (image, boxes, labels) in zip(data, before, strict=True):
        assert torch.equal(sample["image"], image)
        assert (sample["boxes"].tolist(), sample["labels"].tolist()) == (boxes, labels)


@pytest.mark.parametrize("node", CROPPING + MIXING, ids=ids)
def test_floating_point_images_give_the_same_without_rounding(node):
    whole = [painted([(5, 5, 20, 30), (30, 10, 50, 40)], 2 * number, (48, 60), 5, number) for number in range(4)]
    precise = [{**sample, "image": tv_tensors.Image(sample["image"].to(torch.float32))} for sample in whole]
    for seed in range(5):
        expected, out = transformed(node, whole, seed), transformed(node, precise, seed)
        assert out["image"].dtype == torch.float32
        # the two roundings of a picture that is scaled and then blended
        assert (out["image"] - expected["image"]).abs().max() <= 2
        assert out["boxes"].tolist() == expected["boxes"].tolist()


@pytest.mark.parametrize("node", BY_NAME, ids=ids)
@settings(max_examples=10, deadline=None)
@given(data=samples(sizes=(40, 50), channels=3), seed=SEEDS)
def test_torchvisions_colours_and_scales_by_name(node, data, seed):
    out = transformed(node, data, seed)
    check_in_step(out, 3)
    if node["NAME"] != "ScaleJitter":
        assert out["boxes"].tolist() == data[0]["boxes"].tolist()
        assert out["labels"].tolist() == data[0]["labels"].tolist()


@pytest.mark.parametrize(
    "node",
    [
        {"NAME": "RandomCrop", "SIZE": [20, 25], "MIN_VISIBLE": SHARE},
        {"NAME": "RandomCrop", "SIZE": [1, 1], "LARGEST": [48, 60], "MIN_VISIBLE": SHARE},
        {"NAME": "LargeScaleJitter", "SIZE": [30, 30], "SCALE_RANGE": [2.0, 2.0], "MIN_VISIBLE": SHARE},  # 60 x 60: as it is
        {"NAME": "Mosaic", "SIZE": [60, 60], "SCALE_RANGE": [1.0, 1.0], "MIN_VISIBLE": SHARE},
        {"NAME": "CopyPaste", "SCALE_RANGE": [1.0, 1.0], "MAX_OBJECTS": 9, "MIN_VISIBLE": SHARE},
    ],
    ids=ids,
)
@settings(max_examples=40, deadline=None)
@given(data=samples(count=4, sizes=(60, 60), channels=3), seed=SEEDS)
def test_a_box_is_what_is_seen_of_its_colour_and_stays_if_enough_is(node, data, seed):
    # without scaling every pixel is a pixel of before, so that counting colours tells where each object is, and how much of it
    out = transformed(node, data, seed)
    boxes, area = by_label(out), areas(*data)
    ignore = {int(label): bool(mark) for one in data for label, mark in zip(one["labels"], one["ignore"], strict=True)}
    for label, whole in area.items():
        count, box = extent(out["image"], label)
        if ignore[label] and node["NAME"] == "CopyPaste":
            continue  # covered ones stay as they were: below
        assert (label in boxes) == (count > 0 if ignore[label] else count / whole > SHARE)
        if label in boxes:
            assert boxes[label] == box


@settings(max_examples=40, deadline=None)
@given(data=samples(count=2, sizes=(60, 60), channels=1), seed=SEEDS)
def test_pasted_pieces_cover_ignore_regions_without_removing_them_and_none_is_pasted_as_an_object(data, seed):
    node = {"NAME": "CopyPaste", "MAX_OBJECTS": 9, "SCALE_RANGE": [1.0, 1.0]}
    out = transformed(node, data, seed)
    boxes, marks = by_label(out), dict(zip(out["labels"].tolist(), out["ignore"].tolist(), strict=True))
    for label, box in by_label(data[0]).items():
        if label % 3 == 2:
            assert boxes[label] == box
            assert marks[label]
    for label in data[1]["labels"].tolist():
        if label % 3 == 2:
            assert label not in boxes
            assert extent(out["image"], label)[0] == 0


@pytest.mark.parametrize(
    "node",
    [
        {"NAME": "LargeScaleJitter", "SIZE": [90, 100], "SCALE_RANGE": [0.7, 2.0]},
        {"NAME": "Mosaic", "SIZE": [120, 120], "SCALE_RANGE": [0.7, 1.5]},
        {"NAME": "CopyPaste", "SCALE_RANGE": [0.8, 2.0], "MIN_VISIBLE": 1.0, "FEATHER": 1},
    ],
    ids=ids,
)
@settings(max_examples=40, deadline=None)
@given(data=samples(count=4, sizes=(48, 60), channels=3), seed=SEEDS)
def test_a_scaled_box_has_its_colour_inside(node, data, seed):
    # interpolation and fading reach two pixels into a box
    out = transformed(node, data, seed)
    for label, box in by_label(out).items():
        left, top, right, bottom = (int(side + more) for side, more in zip(box, (3, 3, -2, -2), strict=True))
        inside = out["image"][:, top:bottom, left:right]
        if right > left and bottom > top and not (node["NAME"] == "CopyPaste" and label % 3 == 2):
            assert (inside.int() - color_of(label)).abs().max() <= 1


@settings(max_examples=40, deadline=None)
@given(scale=st.floats(0.5, 2.0), seed=SEEDS)
def test_a_scaled_box_is_no_larger_than_its_colour(scale, seed):
    # one object, far from the frame: what lies 3 pixels beside the middle of its edges is noise, or what fills the canvas
    given_sample = painted([(20, 14, 40, 34)])
    node = {"NAME": "LargeScaleJitter", "SIZE": [96, 120], "SCALE_RANGE": [scale, scale]}
    out = transformed(node, [given_sample], seed)
    assert out["image"].shape == (3, 96, 120)
    for left, top, right, bottom in out["boxes"].tolist():
        x, y = int((left + right) / 2), int((top + bottom) / 2)
        for column, row in ((left - 3, y), (right + 2, y), (x, top - 3), (x, bottom + 2)):
            if 0 <= column < 120 and 0 <= row < 96:
                assert out["image"][0, int(row), int(column)] != color_of(0)


def test_the_grid_leaves_room_between_boxes():
    assert CELL > 2
    assert extent(painted([(1, 2, 4, 6)])["image"], 0) == (12, [1.0, 2.0, 4.0, 6.0])
