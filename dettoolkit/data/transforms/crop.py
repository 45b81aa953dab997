"""RandomIoUCrop: torchvision's, made safe for every image."""

from __future__ import annotations

from typing import Any

from torchvision.transforms import v2
from torchvision.transforms.v2 import query_size
from torchvision.tv_tensors import BoundingBoxes

from dettoolkit.registry import TRANSFORMS

_OPTIONS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


@TRANSFORMS.register()
class RandomIoUCrop(v2.RandomIoUCrop):
    """Cuts out a part of an image that holds the centre of a box at least, as SSD does; boxes with their centre outside go.

    torchvision's tries crops until one fits. This one leaves images without boxes alone, and those of a few pixels; it keeps
    ignore regions as long as anything of them is seen, wherever their centre is; and it asks for an option with which every
    image comes to an end.

    Args:
        min_scale: smallest height and width of the part, relative to the image.
        max_scale: largest height and width of the part, relative to the image.
        min_aspect_ratio: smallest width by height of the part.
        max_aspect_ratio: largest width by height of the part.
        sampler_options: one is drawn for each attempt: the IoU that some box must have with the part; 1 or more leaves the
            image whole.
        trials: crops of one attempt.

    Raises:
        ValueError: no option leaves the image whole.
    """

    def __init__(
        self,
        min_scale: float = 0.3,
        max_scale: float = 1.0,
        min_aspect_ratio: float = 0.5,
        max_aspect_ratio: float = 2.0,
        sampler_options: tuple[float, ...] = _OPTIONS,
        trials: int = 40,
    ) -> None:
        if not sampler_options or max(sampler_options) < 1:
            raise ValueError(
                f"expected a 1.0 among the sampler_options, got {list(sampler_options)}: "
                "without it, an image that fits no other option is tried for ever"
            )
        super().__init__(min_scale, max_scale, min_aspect_ratio, max_aspect_ratio, list(sampler_options), trials)

    def forward(self, sample: Any) -> Any:
        """Return the part (part of ``v2.Transform``, which would not show the ignore marks to :meth:`make_params`)."""
        params = self.make_params([sample["image"], sample["boxes"]])
        if not params:
            return sample
        if "ignore" in sample:
            params["is_within_crop_area"] = params["is_within_crop_area"] | sample["ignore"]
        return {**sample, **{key: self.transform(sample[key], params) for key in ("image", "boxes")}}

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw the part, or nothing for an image without boxes (part of ``v2.Transform``)."""
        has_boxes = any(len(given) for given in flat_inputs if isinstance(given, BoundingBoxes))
        if not has_boxes or int(min(query_size(flat_inputs)) * self.min_scale) < 1:  # torchvision's divides by 0 there
            return {}
        return super().make_params(flat_inputs)
