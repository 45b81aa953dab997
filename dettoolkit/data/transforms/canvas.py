"""A canvas that parts of samples are laid on, and samples scaled to lie there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from dettoolkit.data.planes import enlarge, enlarges
from dettoolkit.data.transforms.cut import annotated, size_of
from dettoolkit.errors import DataError
from dettoolkit.structures import Sample


def blank(pixels: Tensor, size: tuple[int, int], fill: int | Sequence[int]) -> Tensor:
    """Return ``[C, height, width]`` of one colour, of the channels and dtype of ``pixels``.

    Raises:
        DataError: ``fill`` has a value for another number of channels.
    """
    channels = pixels.shape[-3]
    values = [fill] * channels if isinstance(fill, int) else list(fill)
    if len(values) != channels:
        raise DataError(f"FILL has {len(values)} values for an image of {channels} channels; give one number, or one for each")
    canvas = pixels.new_empty((channels, *size))
    for plane, value in zip(canvas, values, strict=True):
        plane.fill_(value)
    return canvas


def scaled(sample: Sample, size: tuple[int, int]) -> Sample:
    """Return the sample at (height, width) ``size``, as ``ResizeShortestEdge`` interpolates."""
    height, width = size_of(sample)
    if (height, width) == size:
        return sample
    pixels = sample["image"].as_subclass(Tensor)
    pixels = enlarge(pixels, size) if enlarges(pixels, size) else _shrunk(pixels, size)
    boxes = sample["boxes"].as_subclass(Tensor)
    factors = boxes.new_tensor([size[1] / width, size[0] / height] * 2)
    return annotated(sample, pixels, boxes * factors, sample["labels"], sample["ignore"])


def _shrunk(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    if max(size) > 1 or pixels.is_floating_point():
        return resize(pixels, list(size), antialias=True)
    # torch 2.15 fails on three channels of 8 bits that become a single pixel
    return resize(pixels.to(torch.float32), list(size), antialias=True).round_().to(pixels.dtype)


def lay(sample: Sample, canvas: Tensor, parts: Sequence[tuple[Sample, int, int]]) -> Sample:
    """Return a canvas with parts laid on it, in order, and the boxes of all of them.

    Args:
        sample: gives name and id.
        canvas: ``[C, H, W]``; it is written to.
        parts: samples with the column and the row of their left upper corners; each lies inside the canvas.
    """
    boxes = []
    for part, left, top in parts:
        height, width = size_of(part)
        canvas[:, top : top + height, left : left + width] = part["image"].as_subclass(Tensor)
        own = part["boxes"].as_subclass(Tensor)
        boxes.append(own + own.new_tensor([left, top, left, top]))
    labels = torch.cat([part["labels"] for part, _, _ in parts])
    ignore = torch.cat([part["ignore"] for part, _, _ in parts])
    return annotated(sample, canvas, torch.cat(boxes), labels, ignore)
