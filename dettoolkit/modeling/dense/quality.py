"""How good the boxes are that positive anchors predict."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_area


def paired_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Return ``[P]``: the IoU of each of ``boxes [P, 4]`` with that of ``others [P, 4]`` in the same place.

    0 where neither has an area. torchvision's box_iou compares each with each, which thousands of anchors have no memory for.
    """
    sides = torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])
    intersection = sides.clamp(min=0).prod(dim=1)
    union = box_area(boxes) + box_area(others) - intersection
    return intersection / union.clamp(min=torch.finfo(union.dtype).tiny)
