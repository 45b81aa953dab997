"""Reading images: one place that says which size a picture has and which pixels, whatever its format.

Pillow reads the header of every file: format, size, orientation, frames. Plain 8-bit JPEG, PNG and WebP are decoded by
torchvision, which is faster; everything else by Pillow, and what Pillow cannot open as an array. The orientation is applied
here and nowhere else.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import numpy as np
import PIL.Image
import torch
from iopath.common.file_io import g_pathmgr
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

from dettoolkit.data.array_files import array_kind, array_size
from dettoolkit.data.planes import as_planes
from dettoolkit.errors import DataError, MissingDependencyError

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # MPO, as phones write, is opened as a JPEG
PIXEL_LIMIT = 150_000_000  # 450 MB as RGB; lower than the limit at which Pillow itself refuses
ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class ImageHeader:
    """What the header of an image file says.

    Args:
        format: one of ``FORMATS``, or MPO, or NPY.
        stored_size: (height, width) of the pixels as they are stored.
        orientation: the EXIF orientation that is still to be applied, 1 to 8; 1: none.
    """

    format: str
    stored_size: tuple[int, int]
    orientation: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) as people see the image, orientation applied."""
        return self.stored_size[::-1] if self.orientation >= 5 else self.stored_size


def image_header(path: str | os.PathLike[str]) -> ImageHeader:
    """Return what the header of an image says.

    Raises:
        DataError: as :func:`image_size`.
    """
    with quiet():
        return _header(path)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (height, width) of an image as people see it, orientation applied. Only the header is read.

    Raises:
        DataError: the file is missing, is no image of an accepted format, or has no or too many pixels.
    """
    with quiet():
        return _size_from_header(path)


def image_sizes(paths: Sequence[str | os.PathLike[str]]) -> list[tuple[int, int] | DataError]:
    """Return for each of many files what :func:`image_size` returns, or the error that it raises."""

    def size_or_error(path: str | os.PathLike[str]) -> tuple[int, int] | DataError:
        try:
            return _size_from_header(path)
        except DataError as error:
            return error

    # threads wait for a slow disk together; filters of warnings belong to the process, so they stand around all of them
    with quiet(), ThreadPoolExecutor(8) as pool:
        return list(pool.map(size_or_error, paths))


def read_image(path: str | os.PathLike[str]) -> Tensor:
    """Return the pixels of an image as people see them: uint8 ``[3, H, W]``, RGB, orientation applied.

    Files with several frames give the first; 16 bits a channel are divided by 256; transparency is dropped. The format
    is told by content, never by name. For other than three channels or 8 bits, see :mod:`dettoolkit.data.stored_image`.

    Raises:
        DataError: the file is missing, is no image of an accepted format, is damaged, or has no or too many pixels; or it is an
            array, which says nothing of what its numbers mean.
    """
    with quiet(), naming(path):
        data = content_of(path)
        stream = io.BytesIO(data)
        if array_kind(stream):
            raise DataError(
                "expected a picture in gray or RGB, got an array: the length of MODEL.INPUT.PIXEL_MEAN says how many channels "
                "there are, DATASETS.PIXEL_RANGE what their values mean"
            )
        with opened(stream) as image:
            orientation = orientation_of(image, stream)
            pixels = _decode_plain(data) if _is_plain(image) else _decode_any(image)
    return as_planes(turned(pixels, orientation))


def content_of(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file."""
    with g_pathmgr.open(os.fspath(path), "rb") as file:
        return file.read()


def _size_from_header(path: str | os.PathLike[str]) -> tuple[int, int]:
    return _header(path).size


def _header(path: str | os.PathLike[str]) -> ImageHeader:
    with naming(path), g_pathmgr.open(os.fspath(path), "rb") as file:
        kind = array_kind(file)
        if kind is not None:
            return ImageHeader(kind, _array_size(file), 1)
        return _picture_header(file)


def _picture_header(file: IO[bytes]) -> ImageHeader:
    with opened(file) as image:
        width, height = image.size
        return ImageHeader(str(image.format), (height, width), orientation_of(image, file))


def _array_size(file: IO[bytes]) -> tuple[int, int]:
    height, width = array_size(file)
    if not 0 < width * height <= PIXEL_LIMIT:
        raise DataError(f"expected 1 to {PIXEL_LIMIT} pixels, the header says {width} x {height}")
    return height, width


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what Pillow and torchvision say of a file that is read right, or refused, all the same."""
    with warnings.catch_warnings():
        # the limit is ours: PIXEL_LIMIT
        warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
        # broken EXIF, unused frames and the like: the pixels are whole, or decoding fails with an error of its own
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        # TorchCodec, named as the successor, is no dependency yet
        warnings.filterwarnings("ignore", r"The image decoding and encoding capabilities of TorchVision", DeprecationWarning)
        yield


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever goes wrong into a DataError that names the file."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from error.__cause__
    except FileNotFoundError:
        raise DataError(f"{path}: no such image file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: expected an image file, got a folder") from None
    except (MemoryError, MissingDependencyError):
        raise
    except Exception as error:  # decoders raise nearly any type over damaged bytes
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not a decoder's
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        raise DataError(f"{path}: cannot be decoded, the file is damaged or cut short ({str(error) or error!r})") from error


def opened(stream: IO[bytes]) -> PIL.Image.Image:
    """Return an image of which the header is read, after looking at its format and its number of pixels."""
    try:
        image = PIL.Image.open(stream, formats=FORMATS)
    except PIL.Image.DecompressionBombError as error:
        raise DataError(f"more than {PIXEL_LIMIT} pixels, which is the limit ({error})") from error
    except PIL.UnidentifiedImageError:
        stream.seek(0)
        raise DataError(f"expected an image ({', '.join(FORMATS)}), got {_described(stream.read(32))}") from None
    width, height = image.size
    if not 0 < width * height <= PIXEL_LIMIT:
        raise DataError(f"expected 1 to {PIXEL_LIMIT} pixels, the header says {width} x {height}")
    return image


def _described(start: bytes) -> str:
    """Say in words what a file begins with."""
    if not start:
        return "an empty file"
    if start[4:8] == b"ftyp":
        brand = start[8:12].decode("ascii", "replace")
        return "a HEIF picture, which has no decoder here" if brand in ("heic", "heix", "mif1") else f"a {brand!r} container"
    return f"an unknown or broken format that starts with {start[:12]!r}"


def orientation_of(image: PIL.Image.Image, stream: IO[bytes]) -> int:
    """Return the EXIF orientation that is still to be applied, 1 to 8; 1 for none, an illegal or an unreadable one."""
    if image.format == "TIFF":
        return 1  # Pillow turns it itself while loading, and its size is the turned one
    try:
        if image.format == "PNG" and _has_late_metadata(stream):
            orientation = image.getexif().get(ORIENTATION_TAG)
        else:  # PngImageFile.getexif decodes all pixels to see whether metadata follow them
            orientation = PIL.Image.Image.getexif(image).get(ORIENTATION_TAG)
    except Exception:  # a broken EXIF block says nothing of the pixels; truncated pixels fail when they are decoded
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _has_late_metadata(stream: IO[bytes]) -> bool:
    """Whether a PNG file has EXIF or text chunks after its pixels."""
    position, seen_pixels, found = stream.tell(), False, False
    stream.seek(8)
    while not found and len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        seen_pixels |= kind == b"IDAT"
        found = seen_pixels and kind in (b"eXIf", b"iTXt", b"zTXt", b"tEXt")
        stream.seek(length + 4, io.SEEK_CUR)
    stream.seek(position)
    return found


def _is_plain(image: PIL.Image.Image) -> bool:
    """Whether torchvision decodes the image right: 8-bit gray or RGB, one frame, no transparency."""
    if image.mode not in ("L", "RGB") or getattr(image, "n_frames", 1) != 1:
        return False
    if image.format == "PNG":  # the raw mode tells 16-bit RGB ("RGB;16B") and gray of 1 to 4 bits ("L;4") from 8 bits
        return [tile[3] for tile in getattr(image, "tile", [])] == [image.mode]
    return image.format in ("JPEG", "WEBP")


def _decode_plain(data: bytes) -> Tensor:
    # bytearray: a tensor over read-only bytes is refused
    try:
        return decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)
    except RuntimeError as error:  # "function, source file:line, what is wrong"
        raise OSError(str(error).rpartition(", ")[2]) from error


def _decode_any(image: PIL.Image.Image) -> Tensor:
    if image.mode in ("I", "F"):
        raise DataError(f"expected 8 or 16 bits a channel, got 32 (Pillow mode {image.mode})")
    if image.mode.startswith("I;16"):
        gray = np.asarray(image).astype(np.uint16) // 256  # convert("RGB") would clip instead
        return torch.from_numpy(gray.astype(np.uint8)).expand(3, -1, -1)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # as Pillow asks for
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def turned(pixels: Tensor, orientation: int) -> Tensor:
    """Return ``[C, H, W]`` pixels as EXIF orientation 1 to 8 wants them shown (Exif 2.32, tag 0x0112)."""
    if orientation >= 5:  # rows and columns change places
        pixels = pixels.transpose(1, 2)
    flipped = {2: [2], 3: [1, 2], 4: [1], 6: [2], 7: [1, 2], 8: [1]}.get(orientation, [])
    return pixels.flip(flipped) if flipped else pixels
