"""LargeScaleJitter: scaled by much, then cropped or padded to one size."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dettoolkit.data.transforms.canvas import blank, lay, scaled
from dettoolkit.data.transforms.cut import cut, size_of
from dettoolkit.data.transforms.drawing import check_range, check_share, check_size, random_window, uniform
from dettoolkit.registry import TRANSFORMS
from dettoolkit.structures import Sample


@TRANSFORMS.register()
class LargeScaleJitter:
    """Scales an image by a random factor, then cuts a part of one size out of it, or pads it to that size.

    After Ghiasi et al. 2021 (arXiv:2012.07177), who train for a hundred epochs and more with it. At a factor of 1 the image
    just fits into ``size``, its aspect ratio kept. What is larger is cut at a random place, what is smaller lies at the left
    and the top. torchvision's ``ScaleJitter`` scales only.

    Args:
        size: [height, width] of every result.
        scale_range: [smallest, largest] factor.
        fill: value of the padding, one number or one for each channel.
        min_visible: 0..1, share of an object's area that must be inside for the object to stay; 0: whatever is visible.

    Raises:
        ValueError: a size or range that nothing has, or a share outside 0..1.
    """

    for_training_only = True

    def __init__(
        self,
        size: tuple[int, int],
        scale_range: tuple[float, float] = (0.1, 2.0),
        fill: int | Sequence[int] = 114,
        min_visible: float = 0.0,
    ) -> None:
        check_size(size)
        check_range("scale_range", scale_range)
        check_share("min_visible", min_visible)
        self.size, self.scale_range = size, scale_range
        self.fill, self.min_visible = fill, min_visible

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample at ``size``."""
        height, width = size_of(sample)
        factor = uniform(*self.scale_range) * min(self.size[0] / height, self.size[1] / width)
        larger = scaled(sample, (max(1, round(height * factor)), max(1, round(width * factor))))
        part = cut(larger, random_window(size_of(larger), self.size), self.min_visible)
        if size_of(part) == self.size:
            return part
        return lay(part, blank(part["image"].as_subclass(Tensor), self.size, self.fill), [(part, 0, 0)])
