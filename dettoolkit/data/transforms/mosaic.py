"""Mosaic: four images in one."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dettoolkit.data.transforms.canvas import blank, lay, scaled
from dettoolkit.data.transforms.cut import Window, cut, size_of
from dettoolkit.data.transforms.drawing import check_range, check_share, check_size, random_window, uniform
from dettoolkit.registry import TRANSFORMS
from dettoolkit.structures import Sample


@TRANSFORMS.register()
class Mosaic:
    """Lays parts of four images around a random point of a canvas, after YOLOv4 (Bochkovskiy et al. 2020, arXiv:2004.10934).

    Each image is scaled to fit into ``size`` times a random factor, its aspect ratio kept. Of one that is larger than its
    field, a part at a random place is shown; one that is smaller touches the point.

    Args:
        size: [height, width] of the canvas.
        center_range: [smallest, largest] place of the point, as a share of height and width.
        scale_range: [smallest, largest] factor of an image.
        fill: value of what no image covers, one number or one for each channel.
        min_visible: 0..1, share of an object's area that must be inside for the object to stay.

    Raises:
        ValueError: a size or range that nothing has, or a share outside 0..1.
    """

    num_extra_samples = 3
    for_training_only = True

    def __init__(
        self,
        size: tuple[int, int],
        center_range: tuple[float, float] = (0.2, 0.8),
        scale_range: tuple[float, float] = (0.5, 1.0),
        fill: int | Sequence[int] = 114,
        min_visible: float = 0.1,
    ) -> None:
        check_size(size, 2)
        check_range("center_range", center_range, up_to=1)
        check_range("scale_range", scale_range)
        check_share("min_visible", min_visible)
        self.size, self.center_range, self.scale_range = size, center_range, scale_range
        self.fill, self.min_visible = fill, min_visible

    def __call__(self, sample: Sample, extras: Sequence[Sample]) -> Sample:
        """Return the canvas under the name of ``sample``, which is at the left and the top."""
        height, width = self.size
        y, x = (min(max(1, round(uniform(*self.center_range) * side)), side - 1) for side in self.size)
        fields: list[Window] = [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
        parts = []
        for given, field in zip([sample, *extras], fields, strict=True):
            part = self._part(given, (field[3] - field[1], field[2] - field[0]))
            part_height, part_width = size_of(part)
            # towards the point: the end of the fields before it, the begin of those after it
            left = field[0] if field[0] else field[2] - part_width
            top = field[1] if field[1] else field[3] - part_height
            parts.append((part, left, top))
        return lay(sample, blank(sample["image"].as_subclass(Tensor), self.size, self.fill), parts)

    def _part(self, sample: Sample, field: tuple[int, int]) -> Sample:
        """Return what a field of (height, width) shows of a sample."""
        height, width = size_of(sample)
        factor = uniform(*self.scale_range) * min(self.size[0] / height, self.size[1] / width)
        resized = scaled(sample, (max(1, round(height * factor)), max(1, round(width * factor))))
        return cut(resized, random_window(size_of(resized), field), self.min_visible)
