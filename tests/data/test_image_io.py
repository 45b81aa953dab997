"""Every kind of image file that real data sets hold reads right, or fails with a message that names it.

Facts about the 48 awkward files (sizes, orientations, mean colours, what must happen) are those of the README beside them;
that README has them from Pillow 13 with ``ImageOps.exif_transpose``, from the PNG specification, and from the tools that
made the files.
"""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dettoolkit.data import image_io
from dettoolkit.data.image_io import PIXEL_LIMIT, image_size, image_sizes, read_image
from dettoolkit.errors import DataError

# name: (width, height) after orientation, and the mean of R, G, B where it is known
READABLE: dict[str, tuple[tuple[int, int], tuple[float, ...] | None]] = {
    "hopper.jpg": ((128, 128), None),
    **{f"hopper_orientation_{number}.jpg": ((128, 128), None) for number in range(2, 9)},
    "hopper_orientation_6.webp": ((128, 128), None),
    "orientation_rectangle.jpg": ((1, 2), None),
    "Landscape_6.jpg": ((1800, 1200), (98.4, 115.7, 134.2)),
    "Landscape_0.jpg": ((1800, 1200), (98.4, 115.7, 134.2)),
    "Portrait_3.jpg": ((1200, 1800), None),
    "Portrait_8.jpg": ((1200, 1800), None),
    "exif_imagemagick_orientation.png": ((512, 512), None),
    "xmp_tags_orientation_exiftool.png": ((10, 10), None),
    "rot1mir0.avif": ((640, 427), None),
    "hopper_gray.jpg": ((128, 128), (84.7, 84.7, 84.7)),
    "pil_sample_cmyk.jpg": ((100, 100), (30.2, 5.4, 7.4)),
    "basn0g16.png": ((32, 32), (144.0, 144.0, 144.0)),
    "i_trns.png": ((64, 64), (0.0, 0.0, 0.0)),
    "basn2c16.png": ((32, 32), (127.5, 127.5, 43.8)),
    "basn4a16.png": ((32, 32), None),
    "uncompressed_la.png": ((128, 128), None),
    "1_trns.png": ((64, 64), None),
    "p_trns_single.png": ((64, 64), None),
    "pil123p.png": ((162, 150), None),
    "pil123rgba.png": ((162, 150), None),
    "rgba_png_named.jpg": ((162, 150), None),
    "transparent.png": ((200, 150), None),
    "transparent.webp": ((200, 150), None),
    "hopper.gif": ((128, 128), None),
    "dispose_bgnd.gif": ((100, 100), None),
    "chi.gif": ((320, 240), None),
    "no_palette.gif": ((1, 1), None),
    "apng_mode_16bit.png": ((128, 64), (255.0, 0.0, 0.0)),
    "sugarshack.mpo": ((640, 480), None),
    "flower2.webp": ((300, 225), None),
    "hopper.avif": ((128, 128), None),
    "app13-multiple.jpg": ((256, 160), None),
    "invalid-exif.jpg": ((200, 200), None),
    "icc-after-SOF.jpg": ((10, 10), None),
}
# name: what the message says beside the name
REFUSED = {
    "hopper.heif": "HEIF picture",
    "truncated_jpeg.jpg": "damaged or cut short",
    "truncated_image.png": "damaged or cut short",
    "broken.png": "unknown or broken format",
    "zero_width.gif": "unknown or broken format",
    "decompression_bomb.gif": str(PIXEL_LIMIT),
}
# Pillow's conversions are the reference for these, except 16-bit gray, which they clip
CLIPPED_BY_PILLOW = ("basn0g16.png", "i_trns.png")


@pytest.fixture(scope="module")
def awkward(real_data: Path) -> Path:
    return real_data / "awkward_images"


def saved(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_the_tables_name_each_awkward_file(awkward: Path) -> None:
    files = {path.name for path in awkward.iterdir() if not path.name.startswith(("LICENSE", "README"))}

    assert files == READABLE.keys() | REFUSED.keys()
    assert len(files) == 48


@pytest.mark.parametrize("name", READABLE)
def test_an_awkward_image_has_its_right_size_and_colours(awkward: Path, name: str) -> None:
    (width, height), mean = READABLE[name]

    image = read_image(awkward / name)

    assert image_size(awkward / name) == (height, width)
    assert image.shape == (3, height, width)
    assert image.dtype == torch.uint8
    assert image.is_contiguous()
    if mean is not None:
        assert image.float().mean((1, 2)).tolist() == pytest.approx(mean, abs=0.3)


@pytest.mark.parametrize("name", sorted(READABLE.keys() - set(CLIPPED_BY_PILLOW)))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_pixels_are_those_of_pillow(awkward: Path, name: str) -> None:
    from PIL import ImageOps

    with Image.open(awkward / name) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(int)

    found = read_image(awkward / name).permute(1, 2, 0).numpy().astype(int)

    assert np.abs(found - expected).mean() < 0.5  # decoders may round differently


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_image_is_refused_by_name(awkward: Path, name: str) -> None:
    with pytest.raises(DataError, match=REFUSED[name]) as caught:
        read_image(awkward / name)

    assert str(awkward / name) in str(caught.value)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turned_copies_show_the_same_picture(awkward: Path, orientation: int) -> None:
    upright = read_image(awkward / "hopper.jpg").int()

    turned = read_image(awkward / f"hopper_orientation_{orientation}.jpg").int()

    assert (turned - upright).abs().float().mean() < 5  # 4.7 to 4.9; 59 to 82 where the tag is ignored


def test_photographs_that_differ_by_their_tag_show_the_same_scene(awkward: Path) -> None:
    for one, other in (("Landscape_6.jpg", "Landscape_0.jpg"), ("Portrait_3.jpg", "Portrait_8.jpg")):
        difference = read_image(awkward / one).int() - read_image(awkward / other).int()
        assert difference.abs().float().mean() < 5


def test_a_bomb_takes_no_memory(awkward: Path) -> None:
    tracemalloc.start()
    with pytest.raises(DataError):
        read_image(awkward / "decompression_bomb.gif")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1_000_000  # the header claims 4.36 thousand million pixels


def test_more_pixels_than_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, "large.png", Image.new("L", (11, 10)))
    monkeypatch.setattr(image_io, "PIXEL_LIMIT", 109)

    with pytest.raises(DataError, match=r"expected 1 to 109 pixels, the header says 11 x 10"):
        image_size(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_moves_the_corner_as_exif_defines_it(tmp_path: Path, orientation: int) -> None:
    # Exif 2.32, tag 0x0112: where the stored first row and first column are shown. The stored top left pixel is marked:
    # 1 top left, 2 top right, 3 bottom right, 4 bottom left, 5 top left, 6 top right, 7 bottom right, 8 bottom left
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    pixels[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, "marked.png", Image.fromarray(pixels), exif=exif)

    image = read_image(path)

    assert image_size(path) == ((2, 3) if orientation <= 4 else (3, 2))
    bottom, right = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    marked = torch.zeros(image.shape[1:], dtype=torch.uint8)
    marked[-1 if bottom else 0, -1 if right else 0] = 255
    assert torch.equal(image, marked.expand(3, -1, -1))


def test_orientation_of_a_tiff_is_applied_once(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    pixels[0, 0] = 255
    path = saved(tmp_path, "marked.tif", Image.fromarray(pixels), tiffinfo={0x0112: 6})

    image = read_image(path)

    assert image_size(path) == (3, 2)
    assert image[0].tolist() == [[0, 255], [0, 0], [0, 0]]


def test_metadata_after_the_pixels_of_a_png_are_found(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (3, 2)).save(stream, "PNG", exif=exif)
    data = stream.getvalue()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    before_end = len(data) - 12  # the chunk IEND
    path = tmp_path / "late.png"
    path.write_bytes(data[:start] + data[end:before_end] + data[start:end] + data[before_end:])

    assert image_size(path) == (3, 2)
    assert read_image(path).shape == (3, 3, 2)


def test_sixteen_bits_are_divided_by_256(tmp_path: Path) -> None:
    gray = np.array([[0, 255, 256, 65535]], dtype=np.uint16)

    image = read_image(saved(tmp_path, "gray.png", Image.fromarray(gray)))

    assert image.tolist() == [[[0, 0, 1, 255]]] * 3


def test_thirty_two_bits_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, "float.tif", Image.fromarray(np.zeros((2, 2), dtype=np.float32)))

    with pytest.raises(DataError, match="expected 8 or 16 bits a channel, got 32"):
        read_image(path)


def test_missing_empty_and_foreign_files_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<html>not found</html>")

    with pytest.raises(DataError, match=r"gone\.jpg: no such image file"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match=r"empty\.jpg: .*got an empty file"):
        image_size(tmp_path / "empty.jpg")
    with pytest.raises(DataError, match=r"page\.jpg: expected an image .*<html>"):
        read_image(tmp_path / "page.jpg")
    with pytest.raises(DataError, match="got a folder"):
        read_image(tmp_path)
    with pytest.raises(DataError, match=r"below\.jpg: cannot be read: Not a directory"):
        read_image(tmp_path / "empty.jpg" / "below.jpg")


def test_many_sizes_are_read_with_errors_in_their_places(tmp_path: Path) -> None:
    good = saved(tmp_path, "good.png", Image.new("RGB", (5, 7)))

    first, second, third = image_sizes([good, tmp_path / "gone.png", good])

    assert first == third == (7, 5)
    assert isinstance(second, DataError)
    assert "gone.png" in str(second)
