"""Cutting a part out of a sample: which boxes stay, and how they are written again."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat, Image

from dettoolkit.structures import Sample

Window = tuple[int, int, int, int]  # left, top, right, bottom in whole pixels


def annotated(sample: Sample, pixels: Tensor, boxes: Tensor, labels: Tensor, ignore: Tensor) -> Sample:
    """Return a sample of the same name and id with another image and other boxes.

    Args:
        sample: gives everything else.
        pixels: ``[C, H, W]``.
        boxes: ``[G, 4]`` float32 xyxy.
        labels: ``[G]`` int64.
        ignore: ``[G]`` bool.
    """
    canvas_size = (pixels.shape[-2], pixels.shape[-1])
    wrapped = BoundingBoxes(boxes, format=BoundingBoxFormat.XYXY, canvas_size=canvas_size)  # type: ignore[call-overload]
    changed = {"image": Image(pixels), "boxes": wrapped, "labels": labels, "ignore": ignore}
    return Sample(**{**sample, **changed})  # type: ignore[typeddict-item]


def size_of(sample: Sample) -> tuple[int, int]:
    """Return (height, width) of a sample's image."""
    return int(sample["image"].shape[-2]), int(sample["image"].shape[-1])


def visible_part(boxes: Tensor, window: Window) -> tuple[Tensor, Tensor]:
    """Return what a window shows of boxes.

    Args:
        boxes: ``[G, 4]`` float32 xyxy.
        window: left, top, right, bottom.

    Returns:
        ``[G, 4]`` float32 xyxy, boxes clipped to the window, in the same pixels as before; ``[G]`` float32, the share of
        each box's area that this is: 0 for a box outside, or without an area.
    """
    left, top, right, bottom = window
    low, high = boxes.new_tensor([left, top]), boxes.new_tensor([right, bottom])
    corners = boxes.unflatten(-1, (2, 2))  # [G, corner, xy]
    clipped = corners.clamp(min=low).minimum(high)
    area = (corners[:, 1] - corners[:, 0]).clamp(min=0).prod(dim=-1)
    shown = (clipped[:, 1] - clipped[:, 0]).clamp(min=0).prod(dim=-1)
    return clipped.flatten(-2), shown / area.clamp(min=torch.finfo(area.dtype).tiny)


def cut(sample: Sample, window: Window, min_visible: float = 0.0, keep: int | None = None) -> Sample:
    """Return the part of a sample inside a window; its pixels are a view of the given ones.

    Objects go of which less than a share is visible, and the others are clipped. Ignore regions stay as long as anything
    of them is visible: their pixels are neither objects nor background.

    Args:
        sample: with ``image``, ``boxes``, ``labels`` and ``ignore``.
        window: left, top, right, bottom, inside the image.
        min_visible: 0..1, share of an object's area; 0: whatever is visible.
        keep: index of a box that stays even if less of it is visible.
    """
    left, top, right, bottom = window
    clipped, share = visible_part(sample["boxes"].as_subclass(Tensor), window)
    enough = (share >= min_visible) | sample["ignore"]
    if keep is not None:
        enough[keep] = True
    stays = enough & (share > 0)
    pixels = sample["image"].as_subclass(Tensor)[..., top:bottom, left:right]
    boxes = clipped[stays] - clipped.new_tensor([left, top, left, top])
    return annotated(sample, pixels, boxes, sample["labels"][stays], sample["ignore"][stays])
