"""The pictures of a page of findings: each image read once, a thumbnail, and a crop around each box too small to see there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from dettoolkit.errors import DataError
from dettoolkit.report.thumbnails import thumbnail
from dettoolkit.structures import FindingExample

ReadPicture = Callable[[str, Any], Tensor]
PictureKey = tuple[str, Any]

_TINY = 0.08  # of the picture's longer side: boxes below are shown in a crop as well
_CROP_BOXES = 4  # sides of the box that the crop measures
_SMALLEST_CROP = 48  # pixels
_BEYOND = 0.5  # of the picture's size: how far outside of it boxes are followed


def picture_key(example: FindingExample) -> PictureKey | None:
    """Return which picture an example shows; None for none."""
    return None if example.image_id is None else (example.dataset, example.image_id)


def finding_pictures(
    examples: Iterable[FindingExample], read_image: ReadPicture, side: int
) -> dict[PictureKey, dict[str, Any]]:
    """Return for each picture what the page's script needs of it; one that cannot be read has the reason as ``error``.

    Args:
        examples: whose pictures are wanted; each picture is read once.
        read_image: (data set, image id) -> uint8 RGB ``[3, H, W]``.
        side: the longer side of the thumbnails, in pixels.
    """
    boxes: dict[PictureKey, list[tuple[float, ...]]] = {}
    for example in examples:
        key = picture_key(example)
        if key is not None:
            boxes.setdefault(key, []).extend([] if example.box is None else [example.box])
    return {key: _picture(key, of_picture, read_image, side) for key, of_picture in boxes.items()}


def example_view(example: FindingExample, pictures: Mapping[PictureKey, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what of its picture an example shows: box and crop as ``[x, y, width, height]`` in pixels, where there are any."""
    key = picture_key(example)
    picture = {} if key is None else pictures[key]
    if key is None or "error" in picture:
        return {"picture": None, "box": None, "crop": None}
    box = None if example.box is None else _shown_box(example.box, picture["width"], picture["height"])
    region = None if box is None else _crop_region(box, picture["width"], picture["height"])
    return {"picture": list(pictures).index(key), "box": box, "crop": None if region is None else picture["crops"][str(region)]}


def _picture(key: PictureKey, boxes: list[tuple[float, ...]], read_image: ReadPicture, side: int) -> dict[str, Any]:
    try:
        image = read_image(*key)
    except (DataError, KeyError, OSError) as error:  # that the picture is broken may be the very finding
        return {"error": str(error.args[0]) if error.args else repr(error)}
    height, width = image.shape[-2:]
    crops = {}
    for box in boxes:
        shown = _shown_box(box, width, height)
        region = None if shown is None else _crop_region(shown, width, height)
        if region is not None:
            x, y, w, h = region
            crops[str(region)] = {"region": region, "uri": thumbnail(image[:, y : y + h, x : x + w], side)}
    return {"uri": thumbnail(image, side), "width": width, "height": height, "crops": crops}


def _shown_box(box: tuple[float, ...], width: int, height: int) -> list[float] | None:
    """Return a box as ``[x, y, width, height]``, its corners in order, cut off far outside; None where it is not finite."""
    if not all(math.isfinite(value) for value in box):
        return None
    near_x = [min(max(value, -_BEYOND * width), (1 + _BEYOND) * width) for value in (box[0], box[2])]
    near_y = [min(max(value, -_BEYOND * height), (1 + _BEYOND) * height) for value in (box[1], box[3])]
    sides = (min(near_x), min(near_y), abs(near_x[1] - near_x[0]), abs(near_y[1] - near_y[0]))
    return [round(value, 1) for value in sides]


def _crop_region(box: list[float], width: int, height: int) -> list[int] | None:
    """Return the square ``[x, y, width, height]`` around a tiny box, as far as it is in the picture; None for others."""
    x, y, w, h = box
    if max(w, h) >= _TINY * max(width, height):
        return None
    half = max(_CROP_BOXES * max(w, h), _SMALLEST_CROP) / 2
    left, top = max(0, math.floor(x + w / 2 - half)), max(0, math.floor(y + h / 2 - half))
    right, bottom = min(width, math.ceil(x + w / 2 + half)), min(height, math.ceil(y + h / 2 + half))
    return [left, top, right - left, bottom - top] if right > left and bottom > top else None
