"""Image files that Pillow cannot open: NumPy's NPY, and TIFF with many or deep samples a pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from dettoolkit.errors import DataError, MissingDependencyError

_NPY = b"\x93NUMPY"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # + is BigTIFF
_WIDTH_TAG, _HEIGHT_TAG = 0x0100, 0x0101
_NPY_HEADERS: dict[tuple[int, int], Callable[..., Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def array_kind(file: IO[bytes]) -> str | None:
    """Return ``NPY`` or ``TIFF`` for a file that only :func:`read_array` can read, None for others.

    Args:
        file: at its start, where it is left.
    """
    start = file.read(8)
    file.seek(0)
    if start.startswith(_NPY):
        return "NPY"
    if not start.startswith(_TIFF):
        return None
    try:
        PIL.Image.open(file, formats=["TIFF"])
    except PIL.UnidentifiedImageError:
        return "TIFF" if _tiff_size(file) is not None else None
    except PIL.Image.DecompressionBombError:
        return None  # told by whoever opens it
    finally:
        file.seek(0)
    return None


def array_size(file: IO[bytes]) -> tuple[int, int]:
    """Return (height, width) of the pixels in a file that has an :func:`array_kind`; only the header is read.

    Raises:
        DataError: it is an array of other than two or three dimensions.
    """
    size = _tiff_size(file)
    if size is not None:
        return size
    file.seek(0)
    shape = _npy_shape(file)
    axis = _channel_axis(shape)
    height, width = (side for index, side in enumerate(shape) if index != axis)
    return height, width


def read_array(file: IO[bytes]) -> NDArray[Any]:
    """Return the pixels in an NPY or TIFF file, ``[C, H, W]`` of the type that they are stored in.

    An array of three dimensions has its channels last, or first where that is the shorter one of the two.

    Raises:
        DataError: it is an array of other than two or three dimensions, or its values are no numbers.
        MissingDependencyError: it is a TIFF file and tifffile is not installed, or imagecodecs is not and it is compressed in a
            way that asks for that.
    """
    file.seek(0)
    start = file.read(8)
    file.seek(0)
    if start.startswith(_TIFF):
        with _tifffile().TiffFile(file) as tiff:
            axis = _channel_axis_of_tiff(tiff)
            array = _decoded(tiff)
    else:
        axis = _channel_axis(_npy_shape(file))
        file.seek(0)
        array = np.lib.format.read_array(file, allow_pickle=False)
    if array.dtype.kind not in "uif":
        raise DataError(f"expected an array of numbers, got the type {array.dtype}")
    return array[None] if axis is None else np.moveaxis(array, axis, 0)


def _npy_shape(file: IO[bytes]) -> tuple[int, ...]:
    version = np.lib.format.read_magic(file)
    if version not in _NPY_HEADERS:
        raise DataError(f"expected an NPY file of version 1 or 2, got {version[0]}.{version[1]}")
    return _NPY_HEADERS[version](file)[0]


def _channel_axis(shape: Sequence[int]) -> int | None:
    """Return the axis of the channels of an array; None: there is one channel and no axis."""
    if len(shape) not in (2, 3):
        raise DataError(f"expected an array [H, W], [H, W, C] or [C, H, W], got one of shape {list(shape)}")
    return None if len(shape) == 2 else 2 if shape[2] <= shape[0] else 0


def _tiff_size(file: IO[bytes]) -> tuple[int, int] | None:
    """Return (height, width) that the first page of a TIFF file states; None where it is none, or broken."""
    file.seek(0)
    start = file.read(8)
    if not start.startswith(_TIFF):
        return None
    try:
        tags = ImageFileDirectory_v2(start + (file.read(8) if start[2] == 43 or start[3] == 43 else b""))
        file.seek(tags.next)
        tags.load(file)
        return int(tags[_HEIGHT_TAG]), int(tags[_WIDTH_TAG])
    except Exception:  # whatever broken bytes lead to; Pillow says what is wrong with them
        return None


def _channel_axis_of_tiff(tiff: Any) -> int | None:
    """Return the axis of the samples or pages in the first series of a TIFF file."""
    axes = str(tiff.series[0].axes)
    others = [index for index, axis in enumerate(axes) if axis not in "YX"]
    if len(others) > 1:
        raise DataError(f"expected a TIFF file of pages or of samples, got both: axes {axes} of {list(tiff.series[0].shape)}")
    return others[0] if others else None


def _decoded(tiff: Any) -> NDArray[Any]:
    try:
        return np.asarray(tiff.series[0].asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        compression = tiff.series[0].keyframe.compression.name
        raise MissingDependencyError(
            f"a TIFF image of more than four samples a pixel, or of 16-bit colour, is compressed by {compression}, which needs "
            "imagecodecs: pip install imagecodecs"
        ) from error


def _tifffile() -> Any:
    try:
        import tifffile
    except ImportError as error:
        raise MissingDependencyError(
            "TIFF images of more than four samples a pixel, or of 16-bit colour, need tifffile: pip install 'dettoolkit[tiff]'"
        ) from error
    return tifffile
