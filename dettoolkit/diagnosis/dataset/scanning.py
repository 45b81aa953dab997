"""Looking into image files: each is opened once, and decoded once where that is wanted, by several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dettoolkit.data.image_io import ImageHeader, image_header
from dettoolkit.errors import DataError, MissingDependencyError

_IMAGES_AT_ONCE = 8  # that a process hands back together; it is two such portions ahead at most
# an image is told from a sequence of bytes by its content; the suffix is for people and for other programs
SUFFIXES = {
    "AVIF": (".avif", ".avifs"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "MPO": (".mpo", ".jpg", ".jpeg"),  # what phones write, for every program a JPEG
    "NPY": (".npy",),
    "PNG": (".png", ".apng"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}


@dataclass(frozen=True)
class ScannedImage:
    """What an image file holds.

    Args:
        header: None where it cannot be read.
        fault: the kind of finding that keeps the image from being read; empty where it is sound.
        message: what is wrong.
        digest: what ``digest`` made of the pixels; None where there are none or they were not asked for.
    """

    header: ImageHeader | None
    fault: str = ""
    message: str = ""
    digest: Any = None


def scan_images(
    files: Sequence[Path],
    read: Callable[[str], Tensor] | None,
    workers: int,
    digest: Callable[[Tensor], Any] | None = None,
) -> Iterator[ScannedImage]:
    """Yield what each file holds, in order; a bounded number of images is in memory at a time.

    Args:
        files: paths of images.
        read: decodes the pixels, which alone shows that a file is cut short; None: the header is all. It can be pickled.
        workers: processes that share the work; 0: this one alone.
        digest: called with the pixels for what is to be kept of them; a function of a module.

    Raises:
        MissingDependencyError: a file needs an extra that is not installed.
    """
    loader: DataLoader[Any] = DataLoader(
        _Files(files, read, digest),
        batch_size=None,
        num_workers=workers if len(files) > _IMAGES_AT_ONCE else 0,
        collate_fn=_as_it_is,
        worker_init_fn=_settle,
        generator=torch.Generator(),  # without one the loader draws from the global generator
    )
    for portion in loader:
        for scan in portion:
            if isinstance(scan, MissingDependencyError):
                raise scan  # in its own words: the loader would put a traceback before them
            yield scan


class _Files(Dataset[list[ScannedImage | MissingDependencyError]]):
    """Portions of the files."""

    def __init__(
        self, files: Sequence[Path], read: Callable[[str], Tensor] | None, digest: Callable[[Tensor], Any] | None
    ) -> None:
        self._files = [str(file) for file in files]
        self._read = read
        self._digest = digest

    def __len__(self) -> int:
        return -(-len(self._files) // _IMAGES_AT_ONCE)

    def __getitem__(self, index: int) -> list[ScannedImage | MissingDependencyError]:
        start = index * _IMAGES_AT_ONCE
        return [self._scan(file) for file in self._files[start : start + _IMAGES_AT_ONCE]]

    def _scan(self, file: str) -> ScannedImage | MissingDependencyError:
        if not os.path.isfile(file):
            return ScannedImage(None, "missing-image", f"{file}: no such image file")
        try:
            header = image_header(file)
        except DataError as error:
            return ScannedImage(None, "unreadable-image", str(error))
        if self._read is None:
            return ScannedImage(header)
        try:
            pixels = self._read(file)
        except MissingDependencyError as error:
            return error
        except DataError as error:  # a decoder is the cause, or the config asks for other pixels than there are
            return ScannedImage(header, "unfit-image" if error.__cause__ is None else "truncated-image", str(error))
        return ScannedImage(header, digest=None if self._digest is None else self._digest(pixels))


def _settle(worker: int) -> None:
    del worker
    torch.set_num_threads(1)
    cv2.setNumThreads(0)  # 0: no threads besides the one that calls


def _as_it_is(portion: Any) -> Any:
    return portion
