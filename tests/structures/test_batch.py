"""Batch: samples padded to one size."""

from __future__ import annotations

import pytest
import torch
from torchvision import tv_tensors

from dettoolkit.structures import Batch, Sample


def sample(height: int, width: int, num_boxes: int = 1, value: int = 7, **more: object) -> Sample:
    boxes = tv_tensors.BoundingBoxes(torch.ones(num_boxes, 4), format="XYXY", canvas_size=(height, width))
    labels, ignore = torch.zeros(num_boxes, dtype=torch.int64), torch.zeros(num_boxes, dtype=torch.bool)
    image = tv_tensors.Image(torch.full((3, height, width), value, dtype=torch.uint8))
    return Sample(image=image, boxes=boxes, labels=labels, ignore=ignore, **more)


def test_images_are_padded_with_zeros_at_the_right_and_bottom():
    batch = Batch.collate([sample(2, 5), sample(4, 3)])
    assert batch.images.shape == (2, 3, 4, 5)
    assert batch.images.dtype == torch.uint8
    assert batch.image_sizes == [(2, 5), (4, 3)]
    first, second = batch.images[:, 0]
    assert first.tolist() == [[7] * 5, [7] * 5, [0] * 5, [0] * 5]
    assert second.tolist() == [[7, 7, 7, 0, 0]] * 4


def test_the_number_of_images():
    assert len(Batch.collate([sample(2, 2)] * 3)) == 3


@pytest.mark.parametrize(("height", "width", "expected"), [(1, 1, (32, 32)), (32, 64, (32, 64)), (33, 64, (64, 64))])
def test_sides_become_multiples_of_the_divisibility(height, width, expected):
    assert Batch.collate([sample(height, width)], divisibility=32).images.shape[-2:] == expected


def test_every_batch_can_have_one_size():
    assert Batch.collate([sample(2, 5)], pad_to=(8, 16)).images.shape[-2:] == (8, 16)
    assert Batch.collate([sample(8, 16)], pad_to=(8, 16)).images.shape[-2:] == (8, 16)


def test_a_fixed_size_still_becomes_divisible():
    assert Batch.collate([sample(2, 5)], divisibility=8, pad_to=(9, 16)).images.shape[-2:] == (16, 16)


@pytest.mark.parametrize("size", [(9, 4), (4, 17)])
def test_an_image_larger_than_the_fixed_size_is_refused(size):
    with pytest.raises(ValueError, match=rf"an image of {size[0]} x \d+ does not fit DATALOADER\.PAD_TO \[8, 16\]"):
        Batch.collate([sample(*size)], pad_to=(8, 16))


def test_targets_are_plain_tensors_in_the_order_of_the_images():
    batch = Batch.collate([sample(4, 4, num_boxes=2), sample(4, 4, num_boxes=0)])
    assert [len(target) for target in batch.targets] == [2, 0]
    assert type(batch.targets[0].boxes) is torch.Tensor
    assert type(batch.images) is torch.Tensor


def test_the_rest_of_a_sample_travels_along_without_its_tensors():
    batch = Batch.collate([sample(4, 4, image_id=3, file_name="a.jpg", original_size=(40, 40))])
    assert batch.samples == [{"image_id": 3, "file_name": "a.jpg", "original_size": (40, 40)}]


def test_images_and_targets_move_to_a_device_together():
    batch = Batch.collate([sample(4, 4, image_id=3)]).to("meta")
    assert (batch.images.device.type, batch.targets[0].boxes.device.type) == ("meta", "meta")
    assert batch.samples == [{"image_id": 3}]
