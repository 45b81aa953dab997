"""Views: several looks at one test image - scaled, mirrored, cut into tiles - each with its way back to the original pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat, Image

from dettoolkit.data.transforms import InferencePipeline
from dettoolkit.structures import Sample, WayBack

Region = tuple[int, int, int, int]

_FLIPS = {
    "none": ((),),
    "horizontal": ((), ("RandomHorizontalFlip",)),
    "vertical": ((), ("RandomVerticalFlip",)),
    "both": ((), ("RandomHorizontalFlip",), ("RandomVerticalFlip",), ("RandomHorizontalFlip", "RandomVerticalFlip")),
}


@dataclass(frozen=True)
class View:
    """One look at an image.

    Args:
        region: (x1, y1, x2, y2), the part of it that is seen, in pixels of the original image.
        pipeline: which of the pipelines prepares it.
        is_whole: whether the region is the whole image.
    """

    region: Region
    pipeline: int
    is_whole: bool


class Views:
    """All looks at an image: each region (the whole, the tiles) at each scale, as it is and mirrored.

    Args:
        nodes: config nodes of ``DATASETS.TEST_TRANSFORMS``.
        flip: ``none``, ``horizontal``, ``vertical`` or ``both``: which mirrored pictures are looked at besides.
        scales: factors of the size that the transforms give; the first is that of the plain look.
        tile_size: side in pixels of the original image, or (height, width), of the tiles that larger images are cut into;
            None: no tiles.
        tile_overlap: the share of a tile that its neighbour shows too, at least.
        whole_image: whether an image that is cut into tiles is looked at as a whole as well.
        path: where the transforms stand in the config, for messages.

    Raises:
        ConfigError: a transform cannot be built or undone.
    """

    def __init__(
        self,
        nodes: Sequence[Mapping[str, Any]],
        flip: str = "none",
        scales: Sequence[float] = (1.0,),
        tile_size: int | tuple[int, int] | None = None,
        tile_overlap: float = 0.2,
        whole_image: bool = True,
        path: str = "DATASETS.TEST_TRANSFORMS",
    ) -> None:
        sides = (tile_size, tile_size) if isinstance(tile_size, int) else tile_size
        self.tile_size = None if sides is None else (sides[0], sides[1])  # a tuple, whatever the config had
        self.tile_overlap = tile_overlap
        self.whole_image = whole_image
        self.scales = tuple(scales)
        looks = product(scales, _FLIPS[flip])
        self.pipelines = [InferencePipeline([*_scaled(nodes, scale), *_flipped(names)], path) for scale, names in looks]

    @property
    def least_overlap(self) -> tuple[float, float]:
        """Pixels of the original image, (height, width), that neighbouring tiles share at least."""
        height, width = self.tile_size or (0, 0)
        return height * self.tile_overlap - 1, width * self.tile_overlap - 1  # starts are rounded to whole pixels

    @property
    def is_plain(self) -> bool:
        """Whether each image is looked at once, as a whole and as the transforms give it."""
        return len(self.pipelines) == 1 and self.scales == (1.0,) and self.tile_size is None

    def of(self, size: tuple[int, int]) -> list[View]:
        """Return the views of an image of (height, width) ``size``; the whole image by the first pipeline comes first."""
        return list(_all_views((size[0], size[1]), self.tile_size, self.tile_overlap, self.whole_image, len(self.pipelines)))

    def sample(self, sample: Sample, index: int) -> Sample:
        """Return what one view shows of a sample, with the way back to the pixels of the whole image.

        Args:
            sample: with ``image``, ``boxes``, ``labels`` and ``ignore``; it stays as it is.
            index: of the view, among those that :meth:`of` returns for the size of the image.
        """
        height, width = sample["image"].shape[-2:]
        views = self.of((height, width))
        view = views[index]
        pipeline = self.pipelines[view.pipeline]
        seen = pipeline(sample if view.is_whole else _cut(sample, view.region))
        inner = seen["way_back"]
        seen["way_back"] = WayBack(inner.scale, (inner.offset[0] + view.region[0], inner.offset[1] + view.region[1]))
        seen["view"], seen["num_views"] = view, len(views)
        return seen


@lru_cache(maxsize=16)  # asked for each view of an image, of which a large one has thousands
def _all_views(
    size: tuple[int, int], tile_size: tuple[int, int] | None, tile_overlap: float, whole_image: bool, num_pipelines: int
) -> tuple[View, ...]:
    whole = (0, 0, size[1], size[0])
    tiles = [] if tile_size is None else tile_regions(size, tile_size, tile_overlap)
    tiles = [] if tiles == [whole] else tiles
    regions = [whole, *tiles] if whole_image or not tiles else tiles
    return tuple(View(region, index, region == whole) for region in regions for index in range(num_pipelines))


def tile_regions(size: tuple[int, int], tile: tuple[int, int], overlap: float) -> list[Region]:
    """Return the tiles of an image, row after row: as few as have the overlap, evenly spread, the last ending at the border.

    Args:
        size: (height, width) of the image.
        tile: (height, width) of a tile; an image that is smaller gets smaller tiles.
        overlap: the share of a tile that its neighbour shows too, at least; 0 up to but not including 1.
    """
    rows, columns = (_spans(length, side, overlap) for length, side in zip(size, tile, strict=True))
    return [(left, top, right, bottom) for top, bottom in rows for left, right in columns]


def _spans(length: int, side: int, overlap: float) -> list[tuple[int, int]]:
    if length <= side:
        return [(0, length)]
    count = math.ceil((length - side) / max(1, int(side * (1 - overlap)))) + 1
    starts = [round(index * (length - side) / (count - 1)) for index in range(count)]
    return [(start, start + side) for start in starts]


def _cut(sample: Sample, region: Region) -> Sample:
    """Return a part of a sample; boxes that leave it are cut by the pipeline, those outside go."""
    left, top, right, bottom = region
    boxes = sample["boxes"].as_subclass(Tensor) - torch.tensor([left, top, left, top])
    canvas = (bottom - top, right - left)
    cut = BoundingBoxes(boxes, format=BoundingBoxFormat.XYXY, canvas_size=canvas)  # type: ignore[call-overload]
    return Sample(**{**sample, "image": Image(sample["image"][:, top:bottom, left:right]), "boxes": cut})  # type: ignore[typeddict-item]


def _scaled(nodes: Sequence[Mapping[str, Any]], scale: float) -> list[Mapping[str, Any]]:
    """Return the transforms with their results larger by ``scale``: pixels are made once, from the original ones."""
    if scale == 1:
        return list(nodes)
    if not any(node["NAME"] == "ResizeShortestEdge" for node in nodes):
        return [*nodes, {"NAME": "Rescale", "FACTOR": scale}]
    return [_resized(node, scale) if node["NAME"] == "ResizeShortestEdge" else node for node in nodes]


def _resized(node: Mapping[str, Any], scale: float) -> Mapping[str, Any]:
    sizes = [max(1, round(size * scale)) for size in node["SIZES"]]
    return {**node, "SIZES": sizes, "MAX_SIZE": max(1, round(node["MAX_SIZE"] * scale))}


def _flipped(names: Sequence[str]) -> list[Mapping[str, Any]]:
    return [{"NAME": name, "P": 1.0} for name in names]
