"""The way back from transformed to original pixels, measured by sending boxes through the transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat

from dettoolkit.errors import ConfigError
from dettoolkit.structures import WayBack

# the whole picture, and a box inside that lies differently along x and y and after either flip
_PROBES = ((0.0, 0.0, 1.0, 1.0), (0.25, 0.125, 0.5, 0.75))
_TOLERANCE = 0.01  # pixels: far above what rounding does, far below what another geometry does


def measure_way_back(transform: Callable[[Any], Any], size: tuple[int, int]) -> tuple[WayBack, tuple[int, int]]:
    """Return how a transform's output maps to an image of (height, width) ``size``, and the (height, width) of the output.

    The transform is applied to two boxes without an image. It may be anything that scales, shifts, pads, crops or flips.

    Raises:
        ConfigError: it does something else, such as turning or shearing.
    """
    height, width = size
    before = torch.tensor(_PROBES, dtype=torch.float64) * torch.tensor([width, height, width, height])
    # clamping would hide where a crop puts the frame
    boxes = BoundingBoxes(before, format=BoundingBoxFormat.XYXY, canvas_size=size, clamping_mode=None)  # type: ignore[call-overload]
    boxes = transform({"boxes": boxes})["boxes"]
    scale, offset = _solve(_corners(before), _corners(boxes.as_subclass(Tensor).double()))
    back = (1 / scale).tolist(), (-offset / scale).tolist()
    return WayBack(scale=(back[0][0], back[0][1]), offset=(back[1][0], back[1][1])), tuple(boxes.canvas_size)


def _corners(boxes: Tensor) -> Tensor:
    return boxes.unflatten(-1, (2, 2))  # [box, corner, xy]


def _solve(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Return scale and offset ``[xy]`` with ``after = scale * before + offset``, a flip being a negative scale."""
    centers, moved_centers = before.mean(1), after.mean(1)
    extent, moved_extent = before[0, 1] - before[0, 0], after[0, 1] - after[0, 0]
    direction = torch.sign((moved_centers[1] - moved_centers[0]) * (centers[1] - centers[0]))
    scale = direction * moved_extent / extent
    offset = moved_centers[0] - scale * centers[0]
    expected = (before * scale + offset).sort(dim=1).values
    if bool((scale == 0).any()) or not torch.allclose(expected, after, rtol=0, atol=_TOLERANCE):
        raise ConfigError(
            "the transforms move boxes in a way that detections cannot be mapped back from. "
            "Accepted before inference: resizing, padding, cropping and flipping."
        )
    return scale, offset
