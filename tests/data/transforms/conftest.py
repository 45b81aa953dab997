"""A sample of one colour, for tests of transforms."""

import pytest
import torch
from torchvision import tv_tensors


@pytest.fixture
def plain():
    """Returns a sample of one value, ``[3, height, width]``, with boxes, labels from 0 on, and the ignore marks given."""

    def make(boxes=(), size=(100, 150), value=50, ignore=None, name="a.png", channels=3):
        boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        return {
            "image": tv_tensors.Image(torch.full((channels, *size), value, dtype=torch.uint8)),
            "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size),
            "labels": torch.arange(len(boxes)),
            "ignore": torch.zeros(len(boxes), dtype=torch.bool) if ignore is None else torch.tensor(ignore),
            "image_id": name,
            "file_name": name,
            "original_size": size,
        }

    return make
