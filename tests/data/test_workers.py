"""Workers: how many threads each of them runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import torch

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
