from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from dettoolkit.data.datasets.yolo import SUFFIXES as LISTED
from dettoolkit.data.image_form import ImageForm
from dettoolkit.data.image_io import FORMATS, read_image
from dettoolkit.diagnosis.dataset.scanning import SUFFIXES, scan_images
from dettoolkit.errors import MissingDependencyError


def size_of(pixels: torch.Tensor) -> tuple[int, ...]:
    return tuple(pixels.shape)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Twenty images of growing width; the third is missing, the fourth is none, the fifth is cut short."""
    files = [tmp_path / f"{number}.png" for number in range(20)]
    for number, file in enumerate(files):
        Image.linear_gradient("L").resize((30 + number, 20)).save(file)
    files[2].unlink()
    files[3].write_text("no image")
    files[4].write_bytes(files[4].read_bytes()[:-30])
    return files


@pytest.mark.parametrize("workers", [0, 2])
def test_all_files_are_looked_into_in_order(files: list[Path], workers: int) -> None:
    scans = list(scan_images(files, read=read_image, workers=workers, digest=size_of))

    assert [scan.fault for scan in scans[:6]] == ["", "", "missing-image", "unreadable-image", "truncated-image", ""]
    assert [scan.digest for scan in scans[5:]] == [(3, 20, 30 + number) for number in range(5, 20)]
    assert str(files[4]) in scans[4].message
    header = scans[0].header
    assert header is not None
    assert (header.format, header.size, header.orientation) == ("PNG", (20, 30), 1)


def test_without_decoding_headers_are_all(files: list[Path]) -> None:
    scans = list(scan_images(files, read=None, workers=0, digest=size_of))
    assert [scan.fault for scan in scans[2:5]] == ["missing-image", "unreadable-image", ""]
    assert all(scan.digest is None for scan in scans)


def test_no_files_are_no_scans() -> None:
    assert list(scan_images([], read=read_image, workers=2)) == []


def test_pixels_that_the_config_does_not_declare_are_no_damage(files: list[Path]) -> None:
    scans = list(scan_images(files[:2] + files[4:5], read=ImageForm(channels=5).read, workers=0))
    assert [scan.fault for scan in scans] == ["unfit-image", "unfit-image", "truncated-image"]
    assert "expected 5 channel(s)" in scans[0].message


def _needs_an_extra(path: str) -> torch.Tensor:
    raise MissingDependencyError(f"{path} needs tifffile: pip install 'dettoolkit[tiff]'")


@pytest.mark.parametrize("workers", [0, 2])
def test_an_extra_that_is_missing_is_told_in_its_own_words(files: list[Path], workers: int) -> None:
    with pytest.raises(MissingDependencyError) as caught:
        list(scan_images(files, read=_needs_an_extra, workers=workers))
    assert str(caught.value) == f"{files[0]} needs tifffile: pip install 'dettoolkit[tiff]'"


def test_every_format_that_is_read_has_its_suffixes() -> None:
    assert set(FORMATS) <= SUFFIXES.keys()
    known = {suffix for suffixes in SUFFIXES.values() for suffix in suffixes}
    assert set(LISTED) - known == {".heic", ".heif"}  # which no decoder here reads
