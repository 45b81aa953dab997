"""Rescale: an image made larger or smaller by a factor."""

from __future__ import annotations

from typing import Any

from torchvision.transforms import v2
from torchvision.transforms.v2 import query_size
from torchvision.transforms.v2.functional import resize

from dettoolkit.registry import TRANSFORMS


@TRANSFORMS.register()
class Rescale(v2.Transform):
    """Multiplies height and width by a factor, rounded to whole pixels; bilinear with antialiasing.

    Args:
        factor: above 1 enlarges.

    Raises:
        ValueError: the factor is not above 0.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        if factor <= 0:
            raise ValueError(f"expected a factor above 0, got {factor}")
        self.factor = factor

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Return the new size (part of ``v2.Transform``)."""
        return {"size": [max(1, round(side * self.factor)) for side in query_size(flat_inputs)]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Resize an image, boxes or masks (part of ``v2.Transform``)."""
        return self._call_kernel(resize, inpt, params["size"], antialias=True)
