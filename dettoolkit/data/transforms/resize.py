"""ResizeShortestEdge: the resizing that detectors are trained and evaluated with."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import query_size
from torchvision.transforms.v2.functional import resize, to_dtype
from torchvision.tv_tensors import Image

from dettoolkit.data.planes import enlarge, enlarges
from dettoolkit.registry import TRANSFORMS


@TRANSFORMS.register()
class ResizeShortestEdge(v2.Transform):
    """Scales an image so that its shorter side has a given length, or less where the longer side would become too long.

    Bilinear with antialiasing, as Pillow does it; uint8 stays uint8, within one grey level of interpolation in float32,
    rounded. torchvision's detectors do without antialiasing, round sizes down and interpolate in float32.

    Args:
        sizes: lengths of the shorter side in pixels; of several, each image takes one at random.
        max_size: the longest that the longer side may become, in pixels.
        antialias: whether pixels that are left out count too when an image becomes smaller.
        rounding: what becomes of fractions of a pixel in the new height and width: nearest (Detectron2) or down (torchvision).
        dtype: of the resized image: same, or float32, where interpolated values keep their fractions (a step takes
            four times the memory until the device).

    Raises:
        ValueError: no sizes, or a length below 1.
    """

    def __init__(
        self,
        sizes: list[int],
        max_size: int,
        antialias: bool = True,
        rounding: Literal["nearest", "down"] = "nearest",
        dtype: Literal["same", "float32"] = "same",
    ) -> None:
        super().__init__()
        if not sizes or min(sizes) < 1 or max_size < 1:
            raise ValueError(f"expected at least one size, each 1 or more, and max_size >= 1, got {sizes} and {max_size}")
        self.sizes = list(sizes)
        self.max_size = max_size
        self.antialias = antialias
        self.rounding = rounding
        self.dtype = dtype

    def output_size(self, size: tuple[int, int], shortest_edge: int) -> tuple[int, int]:
        """Return (height, width) of an image of (height, width) ``size`` after scaling."""
        scale = min(shortest_edge / min(size), self.max_size / max(size))
        more = 0.5 if self.rounding == "nearest" else 0.0
        height, width = (max(1, int(side * scale + more)) for side in size)
        return height, width

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the length of the shorter side (part of ``v2.Transform``)."""
        which = int(torch.randint(len(self.sizes), ())) if len(self.sizes) > 1 else 0
        return {"size": list(self.output_size(query_size(flat_inputs), self.sizes[which]))}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize an image, boxes or masks (part of ``v2.Transform``)."""
        if self.dtype == "float32" and isinstance(inpt, Image):
            inpt = to_dtype(inpt, torch.float32)  # 0..255 as before
        height, width = params["size"]
        if isinstance(inpt, Image) and enlarges(inpt, (height, width)):
            return Image(enlarge(inpt.as_subclass(Tensor), (height, width)))
        return self._call_kernel(resize, inpt, params["size"], antialias=self.antialias)
