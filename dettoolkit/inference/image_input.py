"""What a predictor takes for an image."""

from __future__ import annotations

import os
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat, Image

from dettoolkit.data.image_form import ImageForm
from dettoolkit.data.stored_image import StoredPixels
from dettoolkit.errors import DataError
from dettoolkit.structures import Sample

ImageInput: TypeAlias = str | os.PathLike[str] | np.ndarray | Tensor

_ACCEPTED = "a path, a uint8 RGB array [H, W, 3] or a uint8 RGB tensor [3, H, W]"


def as_pixels(image: ImageInput, name: str, form: ImageForm | None = None) -> Tensor:
    """Return the pixels of an image on the CPU: uint8 RGB ``[3, H, W]``, as people see them, or what ``form`` declares.

    Args:
        image: a path, an array ``[H, W, C]`` or a tensor ``[C, H, W]``; values are those that a file would have.
        name: what messages call an array or a tensor.
        form: what the detector was trained on; None: uint8 RGB.

    Raises:
        DataError: the file is missing or no image, or the array or tensor is of another shape or type.
    """
    form = form or ImageForm()
    if isinstance(image, (str, os.PathLike)):
        return form.read(image)
    if not isinstance(image, (np.ndarray, Tensor)):
        raise DataError(f"{name}: expected {_ACCEPTED}, got {type(image).__name__}.")
    if not form.is_rgb:
        return _declared(image, name, form)
    shape, channels = list(image.shape), 0 if isinstance(image, Tensor) else 2
    if str(image.dtype).removeprefix("torch.") != "uint8" or len(shape) != 3 or shape[channels] != 3 or 0 in shape:
        kind = "a tensor" if isinstance(image, Tensor) else "an array"
        raise DataError(f"{name}: expected {_ACCEPTED}, got {kind} {shape} of {str(image.dtype).removeprefix('torch.')}.")
    # copies: whoever makes a stream may use one buffer for all frames
    if isinstance(image, Tensor):
        return image.detach().to("cpu", copy=True)
    return torch.from_numpy(np.array(image, order="C")).permute(2, 0, 1)


def _declared(image: np.ndarray | Tensor, name: str, form: ImageForm) -> Tensor:
    """Return an array or a tensor as ``form`` would read it from a file."""
    planes = (
        image.detach().cpu().numpy() if isinstance(image, Tensor) else np.moveaxis(image, -1, 0) if image.ndim == 3 else image
    )
    planes = planes[None] if planes.ndim == 2 else planes
    if planes.ndim != 3 or 0 in planes.shape or planes.dtype.kind not in "uif":
        kind = "a tensor [C, H, W]" if isinstance(image, Tensor) else "an array [H, W, C]"
        raise DataError(f"{name}: expected {kind} of numbers, got {list(image.shape)} of {planes.dtype}.")
    pixels = np.array(planes, np.uint8 if planes.dtype == np.uint8 else np.float32, order="C")  # a copy, as below
    try:
        return form.scaled(StoredPixels(torch.from_numpy(pixels), str(planes.dtype)))
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def as_sample(pixels: Tensor) -> Sample:
    """Return a sample without objects of pixels ``[C, H, W]``, as test transforms take it."""
    size = (int(pixels.shape[1]), int(pixels.shape[2]))
    return Sample(
        image=Image(pixels),
        boxes=BoundingBoxes(torch.zeros(0, 4), format=BoundingBoxFormat.XYXY, canvas_size=size),  # type: ignore[call-overload]
        labels=torch.zeros(0, dtype=torch.int64),
        ignore=torch.zeros(0, dtype=torch.bool),
        original_size=size,
    )
