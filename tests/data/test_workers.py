"""Workers: how many threads each of them runs, and what becomes of the memory that it frees."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from types import SimpleNamespace
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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries decide by themselves what they keep")
def test_glibc_is_told_to_keep_freed_memory(two_threads_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    # malloc.h of glibc: M_TRIM_THRESHOLD is -1, M_MMAP_THRESHOLD is -3; each of them alone leaves the other as it was
    told: dict[int, int] = {}
    library = SimpleNamespace(mallopt=told.__setitem__)
    monkeypatch.setattr(workers, "ctypes", SimpleNamespace(CDLL=lambda name: library))
    workers._settle(0)
    assert told == {-1: 32 * 2**20, -3: 32 * 2**20}


def test_a_library_without_that_choice_is_left_alone(two_threads_here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ctypes", SimpleNamespace(CDLL=lambda name: SimpleNamespace()))
    workers._settle(0)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
