"""Workers: the processes that prepare batches."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from dettoolkit.data.batch_source import BatchSource, Failure, Parcel
from dettoolkit.data.samplers import StreamItem
from dettoolkit.structures import Batch

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
KEPT_BYTES = 32 << 20  # a picture decoded, resized and flipped takes 7 MB


@dataclass(frozen=True)
class Workers:
    """The processes that prepare batches, in one thread each.

    Args:
        count: how many; 0: this process prepares them itself.
        pin_memory: whether batches come in page-locked memory, from which a GPU copies faster.
        start_method: ``fork``, ``spawn`` or ``forkserver``; None: the platform's own.
    """

    count: int = 0
    pin_memory: bool = False
    start_method: str | None = None

    def loader(self, source: BatchSource, batches: Iterable[list[StreamItem]]) -> DataLoader[Any]:
        """Return a loader of the source's batches, each worker two ahead at most."""
        several: dict[str, Any] = {}
        if self.count:
            several = {
                "multiprocessing_context": self.start_method,
                "persistent_workers": True,
                "prefetch_factor": 2,
                "worker_init_fn": _settle,
            }
        return DataLoader(
            source,
            batch_size=None,  # the source makes batches of lists of items
            sampler=batches,
            collate_fn=_as_it_is,
            num_workers=self.count,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),  # without one the loader draws from the global generator
            **several,
        )


def _settle(worker: int) -> None:
    """Prepare the process of a worker."""
    del worker
    # the workers share the processors, and a forked one has none of its parent's threads
    torch.set_num_threads(1)
    cv2.setNumThreads(0)  # 0: no threads besides the one that calls
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Have glibc keep some tens of megabytes for the next picture, instead of giving them back.

    Memory that comes anew from the system comes page by page, which takes about as long as resizing a picture.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # other C libraries than glibc have other ways
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def _as_it_is(batch: Any) -> Any:
    return batch


def shut_down(loader: DataLoader[Any]) -> None:
    """End the workers of a loader now, whoever still holds it: a notebook keeps what an exception's traceback refers to."""
    iterator, loader._iterator = getattr(loader, "_iterator", None), None
    if iterator is not None and hasattr(iterator, "_shutdown_workers"):  # PyTorch calls it where the loader is deleted
        iterator._shutdown_workers()


def unpacked(loader: DataLoader[Any]) -> Iterator[Batch]:
    """Yield the batches of a loader that :meth:`Workers.loader` made, and raise what went wrong in a worker."""
    for arrival in loader:
        if isinstance(arrival, Failure):
            error = arrival.error
            del loader, arrival  # the error's traceback keeps this frame, which must not keep the workers
            raise error
        yield arrival.unpack() if isinstance(arrival, Parcel) else arrival
