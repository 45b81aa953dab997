"""Points of the curve of data sets: reading the annotation file, and batches of the loaders, from one tiny picture."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PillowImage

from benchmarks.speed.timing import Row, Timing, extra_mib, measure, resident_mib
from dettoolkit.data.datasets import COCODataset
from dettoolkit.data.loader import build_test_loader, build_train_loader

BATCH = 16
MOST_HEADERS = 100_000  # images whose headers are read: files of their own would be slower, and a million take minutes
_DEVICE = torch.device("cpu")
_HEIGHT, _WIDTH = 48, 64


def measure_records(count: int, rounds: int) -> dict[str, Timing]:
    """Return what a data set of ``count`` images with a box each takes.

    All images are the same file, so that pixels cost next to nothing. A file of a million is read twice, once for the memory
    and once for the time; smaller ones are read in all rounds.
    """
    with tempfile.TemporaryDirectory(prefix="growth_") as name:
        folder = Path(name)
        write_annotations(folder, 10)
        read(folder)
        write_annotations(folder, count)
        dataset, timings = _reading(folder, rounds if count < 1_000_000 else 1, count <= MOST_HEADERS)
        return timings | measure(_batches(dataset), rounds, _DEVICE)


def read(folder: Path, check_images: bool = False) -> COCODataset:
    """Return the data set that :func:`write_annotations` wrote."""
    return COCODataset("annotations.json", root=str(folder), check_images=check_images)


def write_annotations(folder: Path, count: int) -> None:
    """Write ``annotations.json`` in COCO's format with ``count`` images of one box each, and the picture that all are."""
    PillowImage.fromarray(np.full((_HEIGHT, _WIDTH, 3), 127, np.uint8)).save(folder / "picture.jpg")
    size = f'"height": {_HEIGHT}, "width": {_WIDTH}'
    with (folder / "annotations.json").open("w", encoding="utf-8") as file:
        file.write('{"categories": [{"id": 1, "name": "thing"}],\n"images": [')
        file.writelines(
            f'{"," if index else ""}\n{{"id": {index}, "file_name": "picture.jpg", {size}}}' for index in range(count)
        )
        file.write('],\n"annotations": [')
        box = '"category_id": 1, "bbox": [8.5, 4, 40.25, 30], "area": 1207.5, "iscrowd": 0'
        file.writelines(f'{"," if index else ""}\n{{"id": {index}, "image_id": {index}, {box}}}' for index in range(count))
        file.write("]}\n")


def _reading(folder: Path, rounds: int, with_headers: bool) -> tuple[COCODataset, dict[str, Timing]]:
    """Return the data set, and what making it takes, with and without looking into the images' headers."""
    reading, headers, kept = Timing(extra_mib=extra_mib(lambda: read(folder), _DEVICE)), Timing(), Timing()
    for _ in range(rounds):
        before, started = resident_mib(), time.perf_counter()
        dataset = read(folder)
        reading.seconds.append(time.perf_counter() - started)
        after = resident_mib()
        kept.extra_mib = None if before is None or after is None else after - before
        if with_headers:
            started = time.perf_counter()
            read(folder, check_images=True)
            headers.seconds.append(time.perf_counter() - started)
        if len(reading.seconds) < rounds:
            del dataset  # so that the next round does not hold two
    checked = {"the same, and all headers": headers} if with_headers else {}
    return dataset, {"reading the annotations": reading, **checked, "kept by the data set": kept}


def _batches(dataset: COCODataset) -> Row:
    """Return the batches of the loaders, made by this process, without transforms."""
    stream = iter(build_train_loader(dataset, [], global_batch_size=BATCH, seed=0))
    contestants = {
        "first batch of training": lambda: next(iter(build_train_loader(dataset, [], global_batch_size=BATCH, seed=0))),
        "next batch of training": lambda: next(stream),
        "first batch of inference": lambda: next(iter(build_test_loader(dataset, [], batch_size=BATCH))),
    }
    return Row(f"batches of {len(dataset)} records", contestants)
