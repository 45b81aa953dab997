"""What a predictor takes for an image."""

from __future__ import annotations

import os
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat, Image

from dettoolkit.data import read_image
from dettoolkit.errors import DataError
from dettoolkit.structures import Sample

ImageInput: TypeAlias = str | os.PathLike[str] | np.ndarray | Tensor

_ACCEPTED = "a path, a uint8 RGB array [H, W, 3] or a uint8 RGB tensor [3, H, W]"


def as_pixels(image: ImageInput, name: str) -> Tensor:
    """Return the pixels of an image: uint8 RGB ``[3, H, W]`` on the CPU, as people see them.

    Args:
        image: a path, an array ``[H, W, 3]`` or a tensor ``[3, H, W]``.
        name: what messages call an array or a tensor.

    Raises:
        DataError: the file is missing or no image, or the array or tensor is of another shape or type.
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(image)
    if not isinstance(image, (np.ndarray, Tensor)):
        raise DataError(f"{name}: expected {_ACCEPTED}, got {type(image).__name__}.")
    shape, channels = list(image.shape), 0 if isinstance(image, Tensor) else 2
    if str(image.dtype).removeprefix("torch.") != "uint8" or len(shape) != 3 or shape[channels] != 3 or 0 in shape:
        kind = "a tensor" if isinstance(image, Tensor) else "an array"
        raise DataError(f"{name}: expected {_ACCEPTED}, got {kind} {shape} of {str(image.dtype).removeprefix('torch.')}.")
    # copies: whoever makes a stream may use one buffer for all frames
    if isinstance(image, Tensor):
        return image.detach().to("cpu", copy=True)
    return torch.from_numpy(np.array(image, order="C")).permute(2, 0, 1)


def as_sample(pixels: Tensor) -> Sample:
    """Return a sample without objects of uint8 pixels ``[3, H, W]``, as test transforms take it."""
    size = (int(pixels.shape[1]), int(pixels.shape[2]))
    return Sample(
        image=Image(pixels),
        boxes=BoundingBoxes(torch.zeros(0, 4), format=BoundingBoxFormat.XYXY, canvas_size=size),  # type: ignore[call-overload]
        labels=torch.zeros(0, dtype=torch.int64),
        ignore=torch.zeros(0, dtype=torch.bool),
        original_size=size,
    )
