"""Gray copies of pictures: what fingerprints and overlaps are computed from."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class PictureName(NamedTuple):
    """Which picture: the name of its data set, and its id there."""

    dataset: str
    image_id: int | str


def gray_levels(image: Tensor) -> NDArray[np.uint8]:
    """Return an image as gray levels, uint8 ``[H, W]``.

    RGB is weighted as in ITU-R BT.601, other channels count alike. Where a channel has more than 8 bits, its levels are
    stretched so that the middle 99.8 % of them fill 0 to 255: 12 bits in a file of 16 would be nearly black otherwise.

    Args:
        image: ``[C, H, W]`` of any numbers.

    Raises:
        ValueError: the image has another shape or is empty.
    """
    if image.ndim != 3 or image.numel() == 0:
        raise ValueError(f"an image must be [C, H, W] and not empty, got {tuple(image.shape)}")
    if image.dtype == torch.uint8 and image.shape[0] == 3:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(image.permute(1, 2, 0).numpy()), cv2.COLOR_RGB2GRAY))
    levels = image.numpy().astype(np.float32).mean(axis=0)
    if image.dtype != torch.uint8:
        low, high = np.percentile(levels, (0.1, 99.9))
        levels = (levels - low) * (255.0 / ((high - low) or 1.0))
    return levels.round().clip(0, 255).astype(np.uint8)


def resized(gray: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return gray levels resized to ``[height, width]``; each new pixel is the mean of the area that it covers."""
    return np.asarray(cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA))


def local_contrast(gray: NDArray[np.uint8], sigma: float) -> NDArray[np.float32]:
    """Return float32 ``[H, W]`` details over their own strength nearby, both by a Gaussian of ``sigma`` pixels.

    So every part of a picture counts about alike. Otherwise what is strong and the same in all pictures of a camera (the edge
    of a round field of view, a time stamp) would make any two of them the same scene. Details of three gray levels count half.
    """
    details = without_shading(gray, sigma)
    strength = np.sqrt(cv2.GaussianBlur(np.square(details), (0, 0), sigma))
    return np.asarray(details / (strength + 3.0))


def without_shading(gray: NDArray[np.uint8], sigma: float) -> NDArray[np.float32]:
    """Return float32 ``[H, W]`` gray levels less their blur by a Gaussian of ``sigma`` pixels: details without lighting."""
    levels = gray.astype(np.float32)
    return np.asarray(levels - cv2.GaussianBlur(levels, (0, 0), sigma))
