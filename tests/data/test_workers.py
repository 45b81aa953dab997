"""Workers: how many threads each of them runs, and what becomes of the memory that it frees."""

from __future__ import annotations

import ctypes
import platform
import resource
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from dettoolkit.data import workers
from dettoolkit.data.workers import Workers


class Threads:
    """Stands for a source of batches: computes, and says how many threads each library takes for it."""

    def __getitem__(self, items: Any) -> tuple[int, int]:
        cv2.resize(np.zeros((600, 600), np.uint8), (2400, 2400), interpolation=cv2.INTER_LINEAR_EXACT)
        torch.rand(400, 400) @ torch.rand(400, 400)
        return torch.get_num_threads(), cv2.getNumThreads()


@pytest.fixture
def two_threads_here() -> Iterator[None]:
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(2)
    cv2.setNumThreads(2)
    Threads()[0]  # the parent's threads are there when workers are forked from it
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def test_a_worker_computes_in_one_thread(two_threads_here: None) -> None:
    assert Threads()[0] == (2, 2)  # the parent is what a worker must not be
    loader: Any = Workers(2, start_method="fork").loader(Threads(), [[0], [1], [2]])  # type: ignore[arg-type]
    assert list(loader) == [(1, 1)] * 3


class PageFaults:
    """Stands for a source of batches: counts pages that the system gives, without what workers do and with it."""

    def __getitem__(self, items: Any) -> tuple[int, int]:
        ctypes.CDLL(None).mallopt(workers.M_TRIM_THRESHOLD, 128 << 10)  # glibc's first value, whatever the parent came to
        thrifty = page_faults()
        workers._keep_freed_memory()
        return thrifty, page_faults()


def page_faults() -> int:
    """Pages that came from the system for three pictures of 3 MiB, after as many were freed."""
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        pictures = [np.full(3 << 20, 7, np.uint8) for _ in range(3)]
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        del pictures
    return faults


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries decide by themselves what they keep")
def test_a_worker_keeps_the_memory_of_a_picture_for_the_next() -> None:
    loader: Any = Workers(1, start_method="fork").loader(PageFaults(), [[0]])  # type: ignore[arg-type]
    ((thrifty, keeping),) = list(loader)
    assert thrifty > 1000  # of 2304 pages of 4 KiB
    assert keeping < 200
