"""RandomCrop: a part of an image, of a size in pixels or relative to the image."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from dettoolkit.data.transforms.cut import Window, cut, size_of, visible_part
from dettoolkit.data.transforms.drawing import check_range, check_share, check_size, integer, random_window, uniform
from dettoolkit.registry import TRANSFORMS
from dettoolkit.structures import Sample


@TRANSFORMS.register()
class RandomCrop:
    """Cuts out a part at a random place; an image that is smaller than the part stays whole.

    Objects are clipped, and those of which too little is left go; ignore regions stay as long as anything of them does.

    Args:
        size: [height, width] of the part.
        largest: [height, width] up to which each side is drawn at random, from ``size`` on; null: it is always ``size``.
        unit: of both: pixels, or share of the image's own height and width.
        min_visible: 0..1, share of an object's area that must be inside for the object to stay.
        keep_object: whether an object, drawn at random, decides the place: ``min_visible`` of it is inside, or as much as
            the part can hold, and it stays in any case. An image without objects is cropped anywhere.

    Raises:
        ValueError: a size that nothing has, or a share outside 0..1.
    """

    for_training_only = True

    def __init__(
        self,
        size: tuple[float, float],
        largest: tuple[float, float] | None = None,
        unit: Literal["pixels", "share"] = "pixels",
        min_visible: float = 0.1,
        keep_object: bool = False,
    ) -> None:
        check_share("min_visible", min_visible)
        largest = size if largest is None else largest
        for name, pair in zip(("height", "width"), zip(size, largest, strict=True), strict=True):
            check_range(f"size and largest {name} in {unit}", pair, up_to=math.inf if unit == "pixels" else 1)
        if unit == "pixels":
            check_size(size)
        self.size, self.largest, self.unit = size, largest, unit
        self.min_visible, self.keep_object = min_visible, keep_object

    def __call__(self, sample: Sample) -> Sample:
        """Return the part."""
        size = size_of(sample)
        part = self._part(size)
        chosen = _random_object(sample) if self.keep_object else None
        if chosen is None:
            return cut(sample, random_window(size, part), self.min_visible)
        box = visible_part(sample["boxes"].as_subclass(Tensor)[chosen : chosen + 1], (0, 0, size[1], size[0]))[0]
        left, top, right, bottom = box[0].tolist()
        share = math.sqrt(self.min_visible)  # of either side
        left = _start((left, right), part[1], size[1], share)
        top = _start((top, bottom), part[0], size[0], share)
        return cut(sample, (left, top, left + part[1], top + part[0]), self.min_visible, keep=chosen)

    def _part(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width) of the part, inside an image of ``size``."""
        drawn = [uniform(low, high) for low, high in zip(self.size, self.largest, strict=True)]
        scale = size if self.unit == "share" else (1, 1)
        height, width = (min(side, max(1, round(value * unit))) for value, unit, side in zip(drawn, scale, size, strict=True))
        return height, width


def _random_object(sample: Sample) -> int | None:
    """Return the index of an object that the image shows, or None where there is none."""
    height, width = size_of(sample)
    window: Window = (0, 0, width, height)
    shown = visible_part(sample["boxes"].as_subclass(Tensor), window)[1] > 0
    objects = torch.nonzero(shown & ~sample["ignore"]).flatten()
    return int(objects[integer(0, len(objects) - 1)]) if len(objects) else None


def _start(span: tuple[float, float], length: int, side: int, share: float) -> int:
    """Return where a part of some length begins along an axis, so that it holds a share of a span.

    Args:
        span: begin and end of the object along the axis, inside the image.
        length: of the part, in pixels.
        side: of the image, in pixels.
        share: of the span that shall be inside, and a pixel at least; the most that goes where the part is shorter.
    """
    extent = span[1] - span[0]
    need = min(max(share * extent, min(1.0, extent)), length)
    low = max(0, math.ceil(span[0] + need - length))
    high = min(side - length, math.floor(span[1] - need))
    if low > high:  # no whole pixel does: the nearest one
        low = high = min(max(0, round((span[0] + span[1] - length) / 2)), side - length)
    return integer(low, high)
