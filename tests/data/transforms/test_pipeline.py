import pickle
import random

import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from dettoolkit.data.transforms import Pipeline, build_transforms
from dettoolkit.errors import ConfigError


def sample(boxes=((10, 10, 40, 50), (60, 60, 90, 99), (100, 20, 140, 40)), height=100, width=150):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    pixels = torch.randint(256, (3, height, width), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return {
        "image": tv_tensors.Image(pixels),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width)),
        "labels": torch.arange(len(boxes)),
        "ignore": torch.arange(len(boxes)) % 2 == 1,
        "image_id": 7,
        "file_name": "seven.jpg",
        "original_size": (height, width),
        "original_areas": torch.arange(len(boxes)) + 0.5,
    }


def shift(dx):
    def transform(given):
        boxes = given["boxes"]
        moved = boxes.as_subclass(torch.Tensor) + torch.tensor([dx, 0.0, dx, 0.0])
        return {**given, "boxes": tv_tensors.wrap(moved, like=boxes)}

    return transform


def noise(given):
    """Adds what torch, random and numpy draw to the labels."""
    drawn = int(torch.randint(1000, ())) + random.randrange(1000) + int(np.random.randint(1000))  # noqa: NPY002
    return {**given, "labels": given["labels"] + drawn}


@pytest.mark.parametrize(
    "node",
    [
        {"NAME": "ResizeShortestEdge", "SIZES": [64, 80], "MAX_SIZE": 200},
        {"NAME": "RandomHorizontalFlip", "P": 1.0},
        {"NAME": "RandomVerticalFlip", "P": 1.0},
        {"NAME": "RandomIoUCrop", "SAMPLER_OPTIONS": [0.0, 0.3, 1.0]},
        {"NAME": "RandomZoomOut", "FILL": [124, 116, 104], "SIDE_RANGE": [1.0, 2.0], "P": 1.0},
        {"NAME": "ScaleJitter", "TARGET_SIZE": [128, 128], "SCALE_RANGE": [0.5, 2.0]},
        {"NAME": "RandomCrop", "SIZE": [64, 64]},
        {"NAME": "RandomPhotometricDistort", "P": 1.0},
        {"NAME": "ColorJitter", "BRIGHTNESS": 0.3},
        {"NAME": "RandomAffine", "DEGREES": 10, "SCALE": [0.8, 1.2]},
        {"NAME": "RandomApply", "TRANSFORMS": [{"NAME": "GaussianBlur", "KERNEL_SIZE": 5}], "P": 0.5},
        {
            "NAME": "RandomChoice",
            "TRANSFORMS": [
                {
                    "NAME": "Compose",
                    "TRANSFORMS": [{"NAME": "Resize", "SIZE": [80, 90]}, {"NAME": "RandomCrop", "SIZE": [50, 60]}],
                },
                {"NAME": "Resize", "SIZE": [64, 64]},
            ],
        },
    ],
    ids=lambda node: node["NAME"],
)
def test_images_stay_uint8_and_boxes_labels_and_ignore_in_step(node):
    pipeline = Pipeline(build_transforms([node], "DATASETS.TRAIN_TRANSFORMS"))
    for position in range(10):
        out = pipeline(sample(), (0, 0, position))
        assert out["image"].dtype == torch.uint8
        assert out["boxes"].canvas_size == tuple(out["image"].shape[-2:])
        assert out["boxes"].dtype == torch.float32
        assert len(out["boxes"]) == len(out["labels"]) == len(out["ignore"])
        assert torch.equal(out["ignore"], out["labels"] % 2 == 1)
        assert (out["file_name"], out["image_id"]) == ("seven.jpg", 7)
        empty = pipeline(sample(boxes=()), (0, 0, position))
        assert empty["boxes"].shape == (0, 4)


def test_boxes_follow_what_they_enclose_through_crop_zoom_flip_and_quarter_turn():
    # the only bright pixels of the image fill the box exactly; nearest-neighbour transforms keep that exact
    nodes = [
        {"NAME": "RandomZoomOut", "SIDE_RANGE": [1.0, 2.0], "P": 0.7},
        {"NAME": "RandomIoUCrop"},
        {"NAME": "RandomHorizontalFlip"},
        {"NAME": "RandomVerticalFlip"},
        {"NAME": "RandomApply", "TRANSFORMS": [{"NAME": "RandomRotation", "DEGREES": [90, 90], "EXPAND": True}]},
    ]
    pipeline = Pipeline(build_transforms(nodes, "DATASETS.TRAIN_TRANSFORMS"))
    given = sample(boxes=((30, 20, 70, 50),))
    given["image"].zero_()
    given["image"][:, 20:50, 30:70] = 255
    for position in range(40):
        out = pipeline(given, (1, 0, position))
        rows, columns = torch.nonzero(out["image"][0], as_tuple=True)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert out["boxes"].tolist() == [[float(side) for side in seen]]


def test_boxes_are_clamped_and_those_that_leave_the_image_go_with_label_and_mark():
    # by 45 to the right: the first becomes 55..85, the second 105..135, the third 145..185, clamped to 150
    out = Pipeline([shift(45.0)])(sample())
    assert out["boxes"].tolist() == [[55, 10, 85, 50], [105, 60, 135, 99], [145, 20, 150, 40]]
    # by 95: the third begins at 195, outside
    out = Pipeline([shift(95.0)])(sample())
    assert out["boxes"].tolist() == [[105, 10, 135, 50]]  # the second would begin at 155
    assert out["labels"].tolist() == [0]
    assert out["ignore"].tolist() == [False]


def test_slivers_below_the_smallest_side_are_taken_out():
    boxes = ((10, 10, 10.9, 50), (10, 10, 12, 50), (20, 20, 24, 24))
    assert Pipeline([])(sample(boxes))["labels"].tolist() == [1, 2]
    assert Pipeline([], min_size=3.0)(sample(boxes))["labels"].tolist() == [2]


def test_the_given_sample_stays_as_it_is():
    given, untouched = sample(), sample()
    Pipeline(build_transforms([{"NAME": "RandomHorizontalFlip", "P": 1.0}, {"NAME": "ColorJitter", "HUE": 0.1}], "T"))(given)
    assert torch.equal(given["image"], untouched["image"])
    assert given["boxes"].tolist() == untouched["boxes"].tolist()


def test_random_numbers_depend_on_the_seed_alone():
    pipeline = Pipeline([noise])
    torch.manual_seed(1)
    first = pipeline(sample(), (3, 1, 12))["labels"]
    torch.manual_seed(2)
    random.seed(5)
    assert torch.equal(first, pipeline(sample(), (3, 1, 12))["labels"])
    for other in ((4, 1, 12), (3, 2, 12), (3, 1, 13)):
        assert not torch.equal(first, pipeline(sample(), other)["labels"])


def test_the_global_random_states_come_back_even_after_an_error():
    def fail(given):
        noise(given)
        raise ZeroDivisionError

    def states():
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002

    before = states()
    Pipeline([noise])(sample(), (0, 0, 1))
    assert states() == before
    with pytest.raises(ZeroDivisionError):
        Pipeline([fail])(sample(), (0, 0, 1))
    assert states() == before


def test_a_transform_may_ask_for_other_samples_that_went_through_those_before_it():
    class Mixed:
        num_extra_samples = 2

        def __call__(self, given, extras):
            widths = [extra["image"].shape[-1] for extra in extras]
            return {**given, "file_name": f"{[extra['file_name'] for extra in extras]} {widths}"}

    names = iter(["a.jpg", "b.jpg"])
    pipeline = Pipeline([v2.Resize((20, 30)), Mixed(), v2.Resize((5, 5))])
    out = pipeline(sample(), draw=lambda: {**sample(), "file_name": next(names)})
    assert out["file_name"] == "['a.jpg', 'b.jpg'] [30, 30]"
    assert out["image"].shape == (3, 5, 5)


def test_a_pipeline_can_be_pickled():
    nodes = [{"NAME": "ResizeShortestEdge", "SIZES": [32, 48], "MAX_SIZE": 99}, {"NAME": "RandomHorizontalFlip"}]
    pipeline = Pipeline(build_transforms(nodes, "T"))
    again = pickle.loads(pickle.dumps(pipeline))
    assert torch.equal(pipeline(sample(), (0, 0, 3))["image"], again(sample(), (0, 0, 3))["image"])


def test_messages_name_the_place_of_a_wrong_transform():
    with pytest.raises(
        ConfigError, match=r"DATASETS.TRAIN_TRANSFORMS.1.NAME: TRANSFORMS has no 'ResizeShortestEgde'.*Did you mean"
    ):
        build_transforms([{"NAME": "RandomHorizontalFlip"}, {"NAME": "ResizeShortestEgde"}], "DATASETS.TRAIN_TRANSFORMS")
    with pytest.raises(ConfigError, match=r"TRAIN_TRANSFORMS.0.TRANSFORMS.0.P: expected float, got 'x'"):
        build_transforms(
            [{"NAME": "RandomApply", "TRANSFORMS": [{"NAME": "RandomHorizontalFlip", "P": "x"}]}], "DATASETS.TRAIN_TRANSFORMS"
        )
