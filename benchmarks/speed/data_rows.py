"""Rows of the way from files to batches: decoding, resizing and flipping, in one thread and by workers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image, read_file
from torchvision.transforms.v2.functional import horizontal_flip, resize
from torchvision.tv_tensors import Image

from benchmarks.speed.timing import Row
from dettoolkit.data import image_io
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.loader import build_test_loader
from dettoolkit.data.records import Record
from dettoolkit.data.transforms import ResizeShortestEdge
from dettoolkit.structures import DatasetInfo

IMAGES = 20
IMAGES_OF_WORKERS = 128
BATCH = 8
SIZE = (800, 1067)  # what 480 x 640 becomes with a shorter side of 800


def loading(device: torch.device) -> Iterator[Row]:
    """Yield decoding a JPEG of 640 x 480, resizing its shorter side to 800 and flipping it, in one thread.

    Pillow's way is Detectron2's: arrays between the steps, and a tensor of planes at the end.
    """
    del device
    # having freed a batch, glibc no longer gives each picture's memory back to the system, as in a process that loads batches
    torch.zeros(BATCH, 3, *SIZE, dtype=torch.uint8)
    resize_ours = ResizeShortestEdge([800], 1333)
    with tempfile.TemporaryDirectory(prefix="speed_") as folder, one_thread():
        path = picture(Path(folder))

        def ours() -> Tensor:
            return horizontal_flip(resize_ours(Image(image_io.read_image(path)))).as_subclass(Tensor)

        def torchvisions() -> Tensor:
            image = decode_image(read_file(str(path)), mode=ImageReadMode.RGB)
            return horizontal_flip(resize(image, list(SIZE), antialias=True)).contiguous()

        def pillows() -> Tensor:
            with PillowImage.open(path) as opened:
                array = np.asarray(opened.convert("RGB"))
            resized = PillowImage.fromarray(array).resize(SIZE[::-1], PillowImage.Resampling.BILINEAR)
            flipped = np.flip(np.asarray(resized), axis=1)
            return torch.as_tensor(np.ascontiguousarray(flipped.transpose(2, 0, 1)))

        def difference() -> float:
            return float((ours().int() - pillows().int()).abs().max())

        calls = {"dettoolkit": ours, "torchvision, uint8 antialiased": torchvisions, "Pillow": pillows}
        contestants = {name: lambda call=call: [call() for _ in range(IMAGES)][-1] for name, call in calls.items()}
        yield Row(f"decode, resize to 800, flip; {IMAGES} JPEGs of 640 x 480", contestants, difference, 2, IMAGES)


def loading_workers(device: torch.device) -> Iterator[Row]:
    """Yield the same as batches of the loader, by two workers and by the process itself, in one thread each."""
    del device
    transforms = [{"NAME": "ResizeShortestEdge", "SIZES": [800], "MAX_SIZE": 1333}, {"NAME": "RandomHorizontalFlip", "P": 1.0}]
    with tempfile.TemporaryDirectory(prefix="speed_") as folder, one_thread():
        dataset = pictures(picture(Path(folder)), IMAGES_OF_WORKERS)
        loaders = {count: build_test_loader(dataset, transforms, batch_size=BATCH, num_workers=count) for count in (0, 2)}

        def run(count: int) -> int:
            return sum(int(batch.images[:, :, ::50, ::50].sum()) for batch in loaders[count])

        yield Row(
            f"batches of {BATCH} from {IMAGES_OF_WORKERS} JPEGs of 640 x 480, resized to 800 and flipped",
            {"2 workers": lambda: run(2), "one process": lambda: run(0)},
            lambda: abs(run(2) - run(0)),
            images=IMAGES_OF_WORKERS,
        )


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch and OpenCV compute in one thread for a while."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def picture(folder: Path) -> Path:
    """Write a JPEG of 640 x 480, smooth noise of 80 kB, and return its path."""
    coarse = np.random.default_rng(0).integers(256, size=(48, 64, 3), dtype=np.uint8)
    path = folder / "picture.jpg"
    PillowImage.fromarray(coarse).resize((640, 480), PillowImage.Resampling.BICUBIC).save(path, quality=90)
    return path


def pictures(path: Path, count: int) -> DetectionDataset:
    """Return a data set that has one picture many times, with one box."""
    box = {"boxes": np.array([[10, 20, 300, 400]]), "labels": np.zeros(1), "ignore": np.zeros(1), "areas": np.array([110200])}
    records = (Record(index, path.name, 480, 640, **box) for index in range(count))
    return DetectionDataset(DatasetInfo("pictures", ("thing",)), records, path.parent)
