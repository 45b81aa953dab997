"""Images of any number of channels and any depth come as their files hold them."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from dettoolkit.data.image_io import image_header, image_size, image_sizes, read_image
from dettoolkit.data.stored_image import read_stored
from dettoolkit.errors import DataError, MissingDependencyError

RANDOM = np.random.default_rng(0)
GRAY16 = RANDOM.integers(0, 65536, (6, 9), dtype=np.uint16)
FIVE = RANDOM.integers(0, 4096, (6, 9, 5), dtype=np.uint16)


def planes(array: np.ndarray) -> list[Any]:
    """Return ``[H, W]`` or ``[H, W, C]`` as the nested list of ``[C, H, W]``."""
    return (array[None] if array.ndim == 2 else array.transpose(2, 0, 1)).tolist()


@pytest.mark.parametrize(
    "array",
    [
        GRAY16,
        FIVE,
        FIVE.astype(np.uint8),
        FIVE.astype(">u2"),
        FIVE.astype(np.float64) / 4096,
        FIVE.astype(np.int16) - 2000,
        np.asfortranarray(FIVE),
        FIVE[:, :, :1],
    ],
    ids=["gray", "five", "bytes", "big endian", "float", "signed", "fortran", "one"],
)
def test_arrays_keep_their_values_and_type(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)

    stored = read_stored(tmp_path / "a.npy")

    assert stored.pixels.tolist() == np.float32(planes(array)).tolist()
    assert stored.pixels.dtype == (torch.uint8 if array.dtype == np.uint8 else torch.float32)
    assert stored.type == array.dtype.name
    assert image_size(tmp_path / "a.npy") == (6, 9)
    assert image_header(tmp_path / "a.npy").format == "NPY"


def test_channels_are_last_or_first_where_that_is_shorter(tmp_path: Path) -> None:
    np.save(tmp_path / "first.npy", FIVE.transpose(2, 0, 1))
    np.save(tmp_path / "cube.npy", np.arange(8, dtype=np.uint8).reshape(2, 2, 2))

    assert read_stored(tmp_path / "first.npy").pixels.tolist() == planes(FIVE)
    assert image_size(tmp_path / "first.npy") == (6, 9)
    assert read_stored(tmp_path / "cube.npy").pixels.tolist() == [[[0, 2], [4, 6]], [[1, 3], [5, 7]]]


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            npy(np.zeros((2, 3, 4, 5))),
            r"expected an array \[H, W\], \[H, W, C\] or \[C, H, W\], got one of shape \[2, 3, 4, 5\]",
        ),
        (npy(np.zeros(7)), r"got one of shape \[7\]"),
        (npy(np.zeros((4, 4), complex)), r"expected an array of numbers, got the type complex128"),
        (npy(np.zeros((4, 4), bool)), r"expected an array of numbers, got the type bool"),
        (npy(np.array([[{}]])), r"cannot be decoded"),
        (npy(np.zeros((40, 40)))[:200], r"cannot be decoded, the file is damaged or cut short"),
        (b"\x93NUMPY\x09\x00", r"expected an NPY file of version 1 or 2, got 9\.0"),
        (b"II*\x00garbage", r"expected an image .*, got an unknown or broken format"),
        (b"MM\x00*", r"expected an image "),
        (b"", r"expected an image .*, got an empty file"),
    ],
)
def test_what_is_no_image_is_a_data_error_that_names_the_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)

    with pytest.raises(DataError, match=rf"a\.npy: .*{message}"):
        read_stored(tmp_path / "a.npy")


def test_no_pickle_is_ever_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    (tmp_path / "a.npy").write_bytes(npy(np.array([[Trap()]], dtype=object)))
    with pytest.raises(DataError, match=r"a\.npy: "):
        read_stored(tmp_path / "a.npy")
    assert not (tmp_path / "sprung").exists()


def test_an_array_of_too_many_pixels_is_refused_by_its_header(tmp_path: Path) -> None:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (20_000, 20_000)})
    (tmp_path / "a.npy").write_bytes(file.getvalue())

    assert "the header says 20000 x 20000" in str(image_sizes([tmp_path / "a.npy"])[0])


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_gray_of_16_bits_keeps_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(GRAY16).save(path)

    stored = read_stored(path)

    assert (stored.pixels.tolist(), stored.type) == (planes(GRAY16), "uint16")
    assert read_image(path)[0].tolist() == (GRAY16 // 256).tolist()  # without a declared range as ever


def test_colour_of_16_bits_keeps_them_in_rgb(tmp_path: Path) -> None:
    colour = FIVE[:, :, :3] * 16
    cv2.imwrite(str(tmp_path / "a.png"), colour[:, :, ::-1])
    cv2.imwrite(str(tmp_path / "alpha.png"), FIVE[:, :, [2, 1, 0, 3]])

    assert read_stored(tmp_path / "a.png").pixels.tolist() == planes(colour)
    assert not read_stored(tmp_path / "a.png").has_alpha
    stored = read_stored(tmp_path / "alpha.png")
    assert (stored.pixels.tolist(), stored.has_alpha) == (planes(FIVE[:, :, :4]), True)


@pytest.mark.parametrize(
    ("mode", "channels", "alpha"), [("L", 1, False), ("RGB", 3, False), ("RGBA", 4, True), ("LA", 2, True), ("1", 1, False)]
)
def test_pictures_of_8_bits_have_the_channels_of_their_mode(tmp_path: Path, mode: str, channels: int, alpha: bool) -> None:
    picture = Image.fromarray(FIVE[:, :, :3].astype(np.uint8)).convert(mode)
    picture.save(tmp_path / "a.png")

    stored = read_stored(tmp_path / "a.png")

    assert (len(stored.pixels), stored.type, stored.has_alpha) == (channels, "uint8", alpha)
    assert stored.pixels.tolist() == planes(np.array(picture.convert("L") if mode == "1" else picture))


def test_a_palette_and_inks_become_rgb(tmp_path: Path) -> None:
    picture = Image.fromarray(FIVE[:, :, :3].astype(np.uint8))
    picture.quantize(16).save(tmp_path / "p.png")
    picture.convert("CMYK").save(tmp_path / "c.tif")

    assert read_stored(tmp_path / "p.png").pixels.tolist() == planes(np.array(picture.quantize(16).convert("RGB")))
    assert len(read_stored(tmp_path / "c.tif").pixels) == 3


def test_the_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter clockwise to be shown
    Image.fromarray(GRAY16).save(tmp_path / "a.png", exif=exif)

    assert read_stored(tmp_path / "a.png").pixels[0].tolist() == np.rot90(GRAY16, -1).tolist()
    assert image_size(tmp_path / "a.png") == (9, 6)


@pytest.mark.parametrize("type_", [np.uint8, np.uint16, np.float32])
def test_pages_of_a_tiff_are_channels(tmp_path: Path, type_: Any) -> None:
    pages = [Image.fromarray(FIVE[:, :, channel].astype(type_)) for channel in range(5)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])

    stored = read_stored(tmp_path / "a.tif")

    assert (stored.pixels.tolist(), stored.type) == (planes(FIVE.astype(type_)), np.dtype(type_).name)
    assert not stored.has_alpha


def test_pages_that_are_no_channels_are_refused(tmp_path: Path) -> None:
    small, large = Image.new("L", (4, 4)), Image.new("L", (5, 4))
    small.save(tmp_path / "sizes.tif", save_all=True, append_images=[large])
    colour = Image.new("RGB", (4, 4))
    colour.save(tmp_path / "colours.tif", save_all=True, append_images=[colour])

    with pytest.raises(DataError, match=r"sizes\.tif: expected pages of one channel and one size, got 2 of \[1, 4, 4\] and"):
        read_stored(tmp_path / "sizes.tif")
    with pytest.raises(DataError, match=r"colours\.tif: expected pages of one channel and one size, got 2 of \[3, 4, 4\]"):
        read_stored(tmp_path / "colours.tif")


def test_samples_of_a_tiff_are_channels(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="the extra tiff is not installed")
    tifffile.imwrite(tmp_path / "together.tif", FIVE, planarconfig="contig", photometric="minisblack")
    tifffile.imwrite(tmp_path / "apart.tif", FIVE.transpose(2, 0, 1), planarconfig="separate", photometric="minisblack")
    tifffile.imwrite(tmp_path / "colour.tif", FIVE[:, :, :3], photometric="rgb")
    tifffile.imwrite(tmp_path / "big.tif", FIVE, planarconfig="contig", photometric="minisblack", bigtiff=True)

    for name, wanted in (("together", FIVE), ("apart", FIVE), ("colour", FIVE[:, :, :3]), ("big", FIVE)):
        path = tmp_path / f"{name}.tif"
        stored = read_stored(path)
        assert (stored.pixels.tolist(), stored.type) == (planes(wanted), "uint16"), name
        assert image_size(path) == (6, 9), name


def test_the_extra_is_named_where_tifffile_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile = pytest.importorskip("tifffile", reason="the extra tiff is not installed")
    tifffile.imwrite(tmp_path / "a.tif", FIVE, planarconfig="contig", photometric="minisblack")
    monkeypatch.setitem(sys.modules, "tifffile", None)

    assert image_size(tmp_path / "a.tif") == (6, 9)  # the header is read without it
    with pytest.raises(MissingDependencyError, match=r"need tifffile: pip install 'dettoolkit\[tiff\]'"):
        read_stored(tmp_path / "a.tif")


def test_the_package_is_named_that_a_compressed_tiff_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile = pytest.importorskip("tifffile", reason="the extra tiff is not installed")
    cv2.imwrite(str(tmp_path / "a.tif"), FIVE[:, :, :3].astype(np.uint16))  # by LZW, where nothing is said

    def asarray(self: Any) -> None:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")  # as where that is not installed

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", asarray)
    with pytest.raises(MissingDependencyError, match=r"is compressed by LZW, which needs imagecodecs: pip install imagecodecs"):
        read_stored(tmp_path / "a.tif")


def test_read_image_says_what_an_array_lacks(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FIVE)

    with pytest.raises(DataError, match=r"a\.npy: .* got an array: the length of MODEL\.INPUT\.PIXEL_MEAN says how many"):
        read_image(tmp_path / "a.npy")
