"""Memory of the loader's workers over large data sets: the proportional set size of each worker while batches come.

python benchmarks/loader_memory.py [--records N ...] [--workers N] [--batches N] [--list]
"""

from __future__ import annotations

import argparse
import datetime as dt
import multiprocessing
import platform
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.loader import build_train_loader
from dettoolkit.data.records import Record
from dettoolkit.structures import DatasetInfo

BOXES = 7  # of an image, as in COCO
BATCH = 100
HEADERS = ["records", "batches", "images", "lowest", "median", "highest", "all workers"]


class TinyPictures(DetectionDataset):
    """Pictures of 8 x 8 pixels without files: what takes memory is what is known of them.

    Args:
        count: how many.
        as_list: whether to keep each record as a Python object, which is what dettoolkit does not do.
    """

    def __init__(self, count: int, as_list: bool = False) -> None:
        super().__init__(DatasetInfo("tiny", ("thing",)), (tiny_record(index) for index in range(count)))
        if as_list:
            kept: Any = KeptRecords(self.records)
            self.records = kept

    def _image(self, record: Record) -> Tensor:
        return torch.zeros(3, record.height, record.width, dtype=torch.uint8)


class KeptRecords(list[Record]):
    """Records as Python objects: each worker that looks at one copies the memory page that holds its reference count."""

    def __init__(self, records: Iterable[Record]) -> None:
        super().__init__(records)
        self.sizes = np.array([(record.height, record.width) for record in self], np.int32)
        self.num_boxes = np.array([len(record.boxes) for record in self], np.int32)


def tiny_record(index: int) -> Record:
    """Return a record of 8 x 8 pixels with boxes of 3 x 3."""
    low = np.arange(2 * BOXES, dtype=np.float32).reshape(BOXES, 2) % 5
    boxes = np.concatenate([low, low + 3], axis=1)
    flags = np.zeros(BOXES)
    return Record(index, f"train2017/{index:012d}.jpg", 8, 8, boxes, labels=flags, ignore=flags, areas=flags + 9)


def proportional_set_sizes(processes: Iterable[int]) -> list[float]:
    """Return MiB of each process; a page that n processes share counts as 1/n of a page in each (Linux only)."""
    texts = (Path(f"/proc/{process}/smaps_rollup").read_text() for process in processes)
    return [int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[1]) / 1024 for text in texts]  # type: ignore[index]


def worker_sizes(batches: Iterable[Any], moments: Sequence[int]) -> Iterator[list[float]]:
    """Yield the proportional set sizes of this process's workers whenever so many batches have come.

    Args:
        batches: of a loader with workers.
        moments: numbers of batches, ascending.
    """
    for taken, _ in enumerate(batches, start=1):
        if taken in moments:
            yield proportional_set_sizes(sorted(child.pid for child in multiprocessing.active_children() if child.pid))
        if taken == moments[-1]:
            return


def lines(dataset: TinyPictures, workers: int, moments: Sequence[int]) -> Iterator[list[str]]:
    """Yield a line of the table for each moment."""
    loader = build_train_loader(dataset, [], global_batch_size=BATCH, seed=0, num_workers=workers, start_method="fork")
    for taken, sizes in zip(moments, worker_sizes(loader, moments), strict=True):
        numbers = [f"{value:.1f}" for value in (min(sizes), median(sizes), max(sizes), sum(sizes))]
        yield [f"{len(dataset):,}", str(taken), f"{taken * BATCH:,}", *numbers]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[10**3, 10**4, 10**5, 10**6], help="sizes of the data set")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--batches", type=int, default=200, help=f"how many, of {BATCH} images; default 200")
    parser.add_argument("--list", action="store_true", help="keep each record as a Python object, for comparison")
    options = parser.parse_args(arguments)
    moments = sorted({max(1, options.batches * part // 8) for part in (1, 2, 4, 8)})
    kept = "one Python object each" if options.list else "one tensor"
    print(f"{dt.date.today().isoformat()}, torch {torch.__version__}, Python {platform.python_version()}")
    print(f"{options.workers} workers, records as {kept}; proportional set size in MiB\n")
    for count in options.records:  # a table each, since a million records take minutes
        table = list(lines(TinyPictures(count, options.list), options.workers, moments))
        print(tabulate(table, HEADERS, disable_numparse=True, stralign="right"), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
