"""Mixing transforms in training: the same batches whoever prepares them."""

import itertools

import numpy as np
import pytest
import torch

from dettoolkit.data.datasets.shapes import ShapesDataset
from dettoolkit.data.loader import build_test_loader, build_train_loader
from dettoolkit.errors import ConfigError, DataError

STRONG = {
    "NAME": "ClosedAtEnd",
    "LAST": "1ep",
    "TRANSFORMS": [
        {"NAME": "CopyPaste"},
        {"NAME": "RandomApply", "TRANSFORMS": [{"NAME": "Mosaic", "SIZE": [80, 80]}]},
        {"NAME": "RandomChoice", "TRANSFORMS": [{"NAME": "MixUp"}, {"NAME": "LargeScaleJitter", "SIZE": [72, 72]}]},
    ],
}
TRANSFORMS = [STRONG, {"NAME": "RandomCrop", "SIZE": [40, 40], "LARGEST": [90, 90]}, {"NAME": "RandomHorizontalFlip"}]
NUM_IMAGES, BATCH = 12, 4  # 3 iterations an epoch


def loader(dataset=None, transforms=TRANSFORMS, **settings):
    dataset = dataset or ShapesDataset("train", NUM_IMAGES, 64)
    return build_train_loader(
        dataset, transforms, **{"global_batch_size": BATCH, "seed": 3, "length": "3ep", "pad_to": (96, 96), **settings}
    )


def take(batches, count):
    return list(itertools.islice(batches, count))


def assert_same(one, other):
    assert [sample["file_name"] for sample in one.samples] == [sample["file_name"] for sample in other.samples]
    assert torch.equal(one.images, other.images)
    for a, b in zip(one.targets, other.targets, strict=True):
        assert torch.equal(a.boxes, b.boxes)
        assert torch.equal(a.labels, b.labels)
        assert torch.equal(a.ignore, b.ignore)


@pytest.fixture(scope="module")
def alone():
    """The nine batches of a training of three epochs, prepared by one process without workers."""
    return take(loader(), 9)


def test_workers_prepare_the_same_batches(alone):
    for one, other in zip(alone, take(loader(num_workers=2, start_method="fork"), 9), strict=True):
        assert_same(one, other)


def test_two_processes_share_the_batches_of_one(alone):
    halves = [take(loader(rank=rank, world_size=2), 9) for rank in (0, 1)]
    for one, *shares in zip(alone, *halves, strict=True):
        for rank, share in enumerate(shares):
            assert torch.equal(one.images[rank::2], share.images)
            for a, b in zip(one.targets[rank::2], share.targets, strict=True):
                assert torch.equal(a.boxes, b.boxes)


@pytest.mark.parametrize("taken", [4, 7])
def test_a_resumed_training_goes_on_with_the_same_batches(alone, taken):
    resumed = loader()
    resumed.load_state_dict({**resumed.state_dict(), "batches_taken": taken})
    for one, other in zip(alone[taken:], take(resumed, 9 - taken), strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("workers", [{}, {"num_workers": 2, "start_method": "fork"}])
def test_strong_transforms_close_at_the_step_that_the_length_says(workers):
    # a mosaic is of another size than the images; workers are several batches ahead when the end begins
    mosaic = {"NAME": "ClosedAtEnd", "LAST": "4it", "TRANSFORMS": [{"NAME": "Mosaic", "SIZE": [32, 40]}]}
    batches = take(loader(transforms=[mosaic], **workers), 9)
    assert [set(batch.image_sizes) for batch in batches] == [{(32, 40)}] * 5 + [{(64, 64)}] * 4


def test_the_end_needs_a_length():
    with pytest.raises(ConfigError, match=r"DATASETS.TRAIN_TRANSFORMS.0 \(ClosedAtEnd\): only a training has a last epoch"):
        loader(length=None)


class Broken(ShapesDataset):
    """Has no picture but the first that can be read."""

    def _image(self, record):
        if record.image_id != self.records[0].image_id:
            raise DataError(f"{record.file_name}: is truncated")
        return super()._image(record)


class Buggy(ShapesDataset):
    """Raises what nobody expects, except for the first picture."""

    def _image(self, record):
        if record.image_id != self.records[0].image_id:
            raise ZeroDivisionError("oops")
        return super()._image(record)


FIRST = {"sampler_node": {"NAME": "TrainingSampler", "SHUFFLE": False}, "global_batch_size": 1}
MOSAIC = [{"NAME": "Mosaic", "SIZE": [64, 64], "CENTER_RANGE": [0.5, 0.5], "SCALE_RANGE": [0.5, 0.5]}]


def test_a_broken_picture_that_is_mixed_in_is_an_error_or_black_as_on_bad_says():
    with pytest.raises(DataError, match=r"is truncated\. Repair the file, or set DATASETS.ON_BAD: drop"):
        take(loader(Broken("train", NUM_IMAGES, 64), MOSAIC, **FIRST), 1)
    dataset = Broken("train", NUM_IMAGES, 64)
    dataset.on_bad = "drop"
    (batch,) = take(loader(dataset, MOSAIC, **FIRST), 1)
    fields = [batch.images[0, :, top : top + 32, left : left + 32] for top in (0, 32) for left in (0, 32)]
    assert fields[0].any()
    assert not all(field.any() for field in fields)


def test_pictures_that_are_mixed_in_come_as_often_as_in_the_stream():
    dataset = ShapesDataset("train", 4, 64)
    dataset.image_weights = np.array([1.0, 2.0, 3.0, 0.5])
    source = loader(dataset, global_batch_size=1).source
    torch.manual_seed(0)
    counts = np.bincount([source._drawn_index() for _ in range(6500)], minlength=4)
    # 1000, 2000, 3000 and 500 of 6500 expected; the largest standard deviation is sqrt(6500 * 6/13 * 7/13) = 40
    assert np.abs(counts - [1000, 2000, 3000, 500]).max() < 4 * 40


def test_an_error_names_the_picture_that_was_drawn():
    with pytest.raises(RuntimeError, match=r"shapes_train_0000\d\d.png, drawn to be mixed in: ZeroDivisionError: oops"):
        take(loader(Buggy("train", NUM_IMAGES, 64), MOSAIC, **FIRST), 1)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"NAME": "MixUp"}, r"TEST_TRANSFORMS.0 \(MixUp\): mixes samples; what is evaluated must be one image"),
        (
            {"NAME": "RandomApply", "P": 1.0, "TRANSFORMS": [{"NAME": "Mosaic", "SIZE": [9, 9]}]},
            r"TEST_TRANSFORMS.0 \(RandomApply\): Mosaic mixes samples",
        ),
        # 96 x 128 pictures of a test for chance would stay whole
        ({"NAME": "RandomCrop", "SIZE": [500, 500]}, r"TEST_TRANSFORMS.0 \(RandomCrop\): depends on chance"),
        ({"NAME": "LargeScaleJitter", "SIZE": [9, 9], "SCALE_RANGE": [1.0, 1.0]}, r"\(LargeScaleJitter\): depends on chance"),
        ({"NAME": "ClosedAtEnd", "TRANSFORMS": []}, r"TEST_TRANSFORMS.0 \(ClosedAtEnd\): only a training has a last epoch"),
    ],
)
def test_they_are_refused_before_inference(node, message):
    with pytest.raises(ConfigError, match=message):
        build_test_loader(ShapesDataset("train", 2, 64), [node], batch_size=1)
