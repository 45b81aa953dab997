"""Small pictures for pages: as large as a budget of bytes lets them be."""

from __future__ import annotations

import base64
import functools
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dettoolkit.errors import DataError

ReadImage = Callable[[Any], Tensor]

RUNGS = ((960, 82), (800, 80), (640, 78), (480, 76), (400, 74), (320, 70), (256, 66), (200, 62), (160, 58), (128, 52), (96, 45))
"""(longer side in pixels, quality of the JPEG), from the best that is worth its bytes to the least that shows anything."""

_SAMPLE = 24  # images that the rung is guessed from


@dataclass(frozen=True)
class Picture:
    """A small picture.

    Args:
        jpeg: the file; empty where the image could not be read.
        fault: why not.
    """

    jpeg: bytes = b""
    fault: str = ""


@dataclass(frozen=True)
class Thumbnails:
    """Pictures of N images.

    Args:
        pictures: N of them.
        side: the longer side of the largest ones at most, in pixels.
    """

    pictures: list[Picture]
    side: int


def make_thumbnails(image_ids: Sequence[Any], read_image: ReadImage, max_bytes: int) -> Thumbnails:
    """Return a picture of each image, as large as fits: all of them take ``max_bytes`` as base64 at most.

    Each image is read once, several at a time. At the lowest of ``RUNGS`` they take what they take.

    Args:
        image_ids: N ids.
        read_image: image id -> ``[3, H, W]`` uint8 RGB; it is called from several threads. Where it raises ``DataError``,
            ``KeyError`` or ``OSError``, the image has no picture.
        max_bytes: of all pictures together.
    """
    count = len(image_ids)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        best = functools.partial(_picture, read_image=read_image, rung=0)
        sampled = sorted({number * count // min(_SAMPLE, count) for number in range(min(_SAMPLE, count))})
        sample = list(pool.map(best, (image_ids[place] for place in sampled)))
        rung = 0
        while _size(_lowered(sample, rung)) * count > max_bytes * len(sample) and rung + 1 < len(RUNGS):
            rung += 1
        known = dict(zip(sampled, _lowered(sample, rung), strict=True))
        rest = [place for place in range(count) if place not in known]
        others = pool.map(functools.partial(_picture, read_image=read_image, rung=rung), (image_ids[place] for place in rest))
        known |= dict(zip(rest, others, strict=True))
    pictures = [known[place] for place in range(count)]
    while _size(pictures) > max_bytes and rung + 1 < len(RUNGS):
        rung += 1
        pictures = _lowered(pictures, rung)
    return Thumbnails(pictures, RUNGS[rung][0])


def thumbnail(image: Tensor, side: int) -> str:
    """Return a ``[3, H, W]`` uint8 RGB image as a JPEG data URI whose longer side is at most ``side`` pixels."""
    from PIL import Image

    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    return "data:image/jpeg;base64," + base64.b64encode(_jpeg(picture, side, 78)).decode()


def _picture(image_id: Any, read_image: ReadImage, rung: int) -> Picture:
    from PIL import Image

    try:
        image = read_image(image_id)
    except (DataError, KeyError, OSError) as error:  # the boxes are worth showing without it
        return Picture(fault=str(error.args[0]) if error.args else repr(error))
    return Picture(_jpeg(Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()), *RUNGS[rung]))


def _lowered(pictures: Sequence[Picture], rung: int) -> list[Picture]:
    """Return pictures of a higher rung at this one."""
    from PIL import Image

    if rung == 0:
        return list(pictures)
    return [Picture(_jpeg(Image.open(io.BytesIO(one.jpeg)), *RUNGS[rung])) if one.jpeg else one for one in pictures]


def _jpeg(picture: Any, side: int, quality: int) -> bytes:
    picture.thumbnail((side, side))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def _size(pictures: Sequence[Picture]) -> int:
    """Return the bytes of base64 that pictures take."""
    return sum(4 * -(-len(one.jpeg) // 3) for one in pictures)
