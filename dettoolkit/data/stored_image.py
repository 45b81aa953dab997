"""Images as they are stored: of any number of channels, in the depth that the file has."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from dettoolkit.data.array_files import array_kind, read_array
from dettoolkit.data.image_io import ORIENTATION_TAG, content_of, naming, opened, orientation_of, quiet, turned
from dettoolkit.errors import DataError


@dataclass(frozen=True)
class StoredPixels:
    """The pixels of an image file as they are stored.

    Args:
        pixels: ``[C, H, W]``, orientation applied: uint8, or float32 with the values of any other type.
        type: NumPy's name of the type in the file.
        has_alpha: whether the last channel is transparency.
    """

    pixels: Tensor
    type: str
    has_alpha: bool = False


def read_stored(path: str | os.PathLike[str]) -> StoredPixels:
    """Return all channels of an image in the depth that the file has.

    Pages of a TIFF file are channels. An NPY file is an array ``[H, W]``, ``[H, W, C]`` or ``[C, H, W]``: the channels are
    last, or first where that is shorter. It is read without pickle.

    Raises:
        DataError: as :func:`read_image`; or pages that are no channels, or an array of another shape or not of numbers.
        MissingDependencyError: a TIFF file needs tifffile, which is not installed.
    """
    with quiet(), naming(path):
        data = content_of(path)
        stream = io.BytesIO(data)
        if array_kind(stream):
            return _stored(read_array(stream))
        with opened(stream) as image:
            orientation = orientation_of(image, stream)
            if not _is_deep(image):
                planes = _pages(image)
            elif image.format == "TIFF":  # Pillow would have turned it itself
                orientation, planes = int(image.getexif().get(ORIENTATION_TAG, 1)), read_array(stream)
            else:
                planes = _deep_png(data)
            has_alpha = len(planes) in (2, 4) and image.format != "TIFF"
        stored = _stored(planes, has_alpha)
    return StoredPixels(turned(stored.pixels, orientation).contiguous(), stored.type, has_alpha)


def _stored(planes: NDArray[Any], has_alpha: bool = False) -> StoredPixels:
    pixels = np.ascontiguousarray(planes, np.uint8 if planes.dtype == np.uint8 else np.float32)
    return StoredPixels(torch.from_numpy(pixels), str(planes.dtype.newbyteorder("=")), has_alpha)


def _is_deep(image: PIL.Image.Image) -> bool:
    """Whether Pillow would cut the channels of a coloured image down to 8 bits."""
    return image.mode in ("LA", "RGB", "RGBA") and any("16" in str(tile[3]) for tile in getattr(image, "tile", []))


def _deep_png(data: bytes) -> NDArray[Any]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise OSError("OpenCV cannot read it")
    order = [2, 1, 0, 3][: pixels.shape[2]]  # OpenCV's BGR
    return pixels.transpose(2, 0, 1)[order]


def _pages(image: PIL.Image.Image) -> NDArray[Any]:
    """Return ``[C, H, W]``: the channels of the first frame, or the pages of a TIFF file."""
    pages = []
    for page in range(getattr(image, "n_frames", 1) if image.format == "TIFF" else 1):
        if page:
            image.seek(page)
        shown = image
        if image.mode not in ("L", "I", "F", "LA", "RGB", "RGBA") and not image.mode.startswith("I;16"):
            shown = image.convert("L" if image.mode == "1" else "RGBA" if "transparency" in image.info else "RGB")
        planes = np.array(shown)
        pages.append(planes.transpose(2, 0, 1) if planes.ndim == 3 else planes[None])
    if len({page.shape for page in pages}) > 1 or (len(pages) > 1 and len(pages[0]) > 1):
        shapes = sorted({str(list(page.shape)) for page in pages})
        raise DataError(f"expected pages of one channel and one size, got {len(pages)} of {' and '.join(shapes)}")
    return np.concatenate(pages)
