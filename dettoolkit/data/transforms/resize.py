"""ResizeShortestEdge: the resizing that detectors are trained and evaluated with."""

from __future__ import annotations

from typing import Any

import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import query_size
from torchvision.transforms.v2.functional import resize

from dettoolkit.registry import TRANSFORMS


@TRANSFORMS.register()
class ResizeShortestEdge(v2.Transform):
    """Scales an image so that its shorter side has a given length, or less where the longer side would become too long.

    Bilinear with antialiasing, as Pillow does it; uint8 stays uint8.

    Args:
        sizes: lengths of the shorter side in pixels; of several, each image takes one at random.
        max_size: the longest that the longer side may become, in pixels.

    Raises:
        ValueError: no sizes, or a length below 1.
    """

    def __init__(self, sizes: list[int], max_size: int) -> None:
        super().__init__()
        if not sizes or min(sizes) < 1 or max_size < 1:
            raise ValueError(f"expected at least one size, each 1 or more, and max_size >= 1, got {sizes} and {max_size}")
        self.sizes = list(sizes)
        self.max_size = max_size

    def output_size(self, size: tuple[int, int], shortest_edge: int) -> tuple[int, int]:
        """Return (height, width) of an image of (height, width) ``size`` after scaling, as Detectron2 rounds it."""
        scale = min(shortest_edge / min(size), self.max_size / max(size))
        height, width = (max(1, int(side * scale + 0.5)) for side in size)
        return height, width

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the length of the shorter side (part of ``v2.Transform``)."""
        which = int(torch.randint(len(self.sizes), ())) if len(self.sizes) > 1 else 0
        return {"size": list(self.output_size(query_size(flat_inputs), self.sizes[which]))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize an image, boxes or masks (part of ``v2.Transform``)."""
        return self._call_kernel(resize, inpt, params["size"], antialias=True)
