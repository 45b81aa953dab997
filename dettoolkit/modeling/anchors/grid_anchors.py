"""Anchors on a regular grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from dettoolkit.registry import ANCHORS


@ANCHORS.register()
class GridAnchors:
    """Boxes of fixed sizes and shapes at every location of every level (RetinaNet, section 4).

    The anchors of a location are ordered scale-major, ratio-minor; locations row by row, as in Detectron2.

    Args:
        strides: stride of each level, pixels (wired).
        scales_per_octave: sizes a level; size ``i`` is ``base_scale * stride * 2 ** (i / scales_per_octave)``.
        aspect_ratios: height / width of the anchors; the area stays.
        base_scale: smallest anchor of a level in units of its stride; 4 gives the paper's 32 px at P3.
        sizes: sizes (square root of the area, pixels) of each level instead, e.g. ``[[32, 45], [64, 90]]``.
        offset: where the centre of the first anchor lies, in strides: 0 (Detectron2, torchvision) or 0.5 (mid cell).
        round_corners: whether the corners of an anchor around the origin are rounded to whole pixels, halves to even
            (torchvision).
        spacing: how far apart the anchors of a level are: its ``stride``; or ``image_over_map``, the sides of the padded
            image over those of the map, rounded down (torchvision): less than the stride where a map was rounded up, as 61
            rather than 64 pixels for 13 cells of 800. The image is taken to be as large as the first map times its stride.

    Raises:
        ValueError: sizes that are not one list a level or differ in length, or a number that is not positive.
    """

    def __init__(
        self,
        strides: Sequence[int],
        scales_per_octave: int = 3,
        aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0),
        base_scale: float = 4.0,
        sizes: list[list[float]] | None = None,
        offset: float = 0.0,
        round_corners: bool = False,
        spacing: Literal["stride", "image_over_map"] = "stride",
    ) -> None:
        if sizes is None:
            octave = [2 ** (i / scales_per_octave) for i in range(scales_per_octave)]
            sizes = [[base_scale * stride * scale for scale in octave] for stride in strides]
        if len(sizes) != len(strides) or len({len(level) for level in sizes}) != 1:
            raise ValueError(f"sizes expects one list of the same length for each of {len(strides)} levels, got {sizes}")
        if min(min(level, default=0) for level in sizes) <= 0 or min(aspect_ratios, default=0) <= 0:
            raise ValueError(f"sizes and aspect_ratios expect positive numbers, got {sizes} and {list(aspect_ratios)}")
        self.strides = list(strides)
        self.offset = offset
        self.num_anchors = len(sizes[0]) * len(aspect_ratios)
        self.spacing = spacing
        self.shapes = [_shapes(level, aspect_ratios) for level in sizes]
        if round_corners:
            self.shapes = [shapes.round() for shapes in self.shapes]
        self._cache: dict[tuple[tuple[tuple[int, int], ...], torch.device], list[Tensor]] = {}

    def __call__(self, map_sizes: Sequence[tuple[int, int]], device: torch.device | str) -> list[Tensor]:
        """Return L tensors ``[h * w * A, 4]`` float32 xyxy; the same tensors again for the same sizes.

        Args:
            map_sizes: (height, width) of each level's map.
            device: where the boxes are wanted.
        """
        key = (tuple(map_sizes), torch.device(device))
        if key not in self._cache:
            if len(self._cache) >= 64:  # images of ever new sizes must not fill the memory
                self._cache.pop(next(iter(self._cache)))
            self._cache[key] = self.generate(map_sizes, device)
        return self._cache[key]

    def generate(self, map_sizes: Sequence[tuple[int, int]], device: torch.device | str) -> list[Tensor]:
        """Return the same boxes made anew; sizes may be symbols, as in an export, which no cache can look up."""
        levels = zip(map_sizes, self.steps(map_sizes), self.shapes, strict=True)
        return [self._level(size, steps, shapes).to(device) for size, steps, shapes in levels]

    def steps(self, map_sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the distance of anchors along y and x of each level, in pixels; ``shapes`` are around each of the places."""
        if self.spacing == "stride":
            return [(stride, stride) for stride in self.strides]
        height, width = (side * self.strides[0] for side in map_sizes[0])
        return [(height // rows, width // columns) for rows, columns in map_sizes]

    def _level(self, size: tuple[int, int], steps: tuple[int, int], shapes: Tensor) -> Tensor:
        y, x = (
            (torch.arange(length, dtype=torch.float32) + self.offset) * step for length, step in zip(size, steps, strict=True)
        )
        y, x = torch.meshgrid(y, x, indexing="ij")
        centers = torch.stack([x, y, x, y], dim=-1)  # [h, w, 4]
        return (centers[:, :, None] + shapes).reshape(-1, 4)


def _shapes(sizes: Sequence[float], aspect_ratios: Sequence[float]) -> Tensor:
    """Return ``[A, 4]`` boxes around the origin."""
    boxes = []
    for size in sizes:
        for ratio in aspect_ratios:
            width = math.sqrt(size * size / ratio)
            height = ratio * width
            boxes.append([-width / 2, -height / 2, width / 2, height / 2])
    return torch.tensor(boxes, dtype=torch.float32)
