"""Planes: 8-bit pixels moved and enlarged channel by channel, where OpenCV is several times as fast as tensor operations."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor


def as_planes(pixels: Tensor) -> Tensor:
    """Return the same pixels in contiguous memory; decoders give ``[3, H, W]`` whose three channels lie side by side.

    Args:
        pixels: ``[C, H, W]`` uint8 on the CPU, in any order of memory.
    """
    interleaved = pixels.permute(1, 2, 0)
    if pixels.is_contiguous() or not interleaved.is_contiguous():
        return pixels.contiguous()
    planes = np.empty(tuple(pixels.shape), np.uint8)
    cv2.split(interleaved.numpy(), list(planes))  # a sixth of the time of contiguous(), which moves one byte at a time
    return torch.from_numpy(planes)


def enlarges(pixels: Tensor, size: tuple[int, int]) -> bool:
    """Whether :func:`enlarge` brings these pixels to (height, width) ``size``: 8 bits, on the CPU, no side shorter."""
    plain = pixels.dtype == torch.uint8 and pixels.device.type == "cpu" and pixels.ndim == 3 and pixels.numel() > 0
    now = (pixels.shape[-2], pixels.shape[-1])
    return plain and size != now and size[0] >= now[0] and size[1] >= now[1]


def enlarge(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the pixels at (height, width) ``size``, interpolated bilinearly.

    Antialiasing changes nothing where no side becomes shorter. OpenCV computes in fixed point. Its weights are multiples of
    1/2048, which moves a value by an eighth at most; cutting two products off at quarters moves it by less than 0.53, and the
    last rounding by 0.5: less than 1.5 in all, so that it is within 1 of interpolation in float32, rounded.

    Args:
        pixels: ``[C, H, W]`` uint8 for which :func:`enlarges` is true.
        size: (height, width).
    """
    height, width = size
    planes = np.empty((pixels.shape[0], height, width), np.uint8)
    for source, target in zip(as_planes(pixels).numpy(), planes, strict=True):
        cv2.resize(source, (width, height), dst=target, interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(planes)
