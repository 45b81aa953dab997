"""The next batch on its way to the GPU while it computes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

from dettoolkit.structures import Batch


class LookAhead:
    """Hands out batches on the device.

    On CUDA :meth:`prepare` fetches the next batch and starts its copy on a stream of its own, while the device computes what
    it was given. Elsewhere it does nothing. Of an iterator that counts what was taken, one batch more may be taken than used.

    ``seconds_waited`` is how long all batches together were waited for: on CUDA only while the device had nothing to do.

    Args:
        batches: in page-locked memory, where copies are to overlap.
        device: where they are wanted.
        num_batches: how many will be taken; no more are fetched.
        ahead: whether to look ahead; None: on CUDA.
        part: marks what is done, for profiles.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        device: torch.device,
        num_batches: int,
        ahead: bool | None = None,
        part: Callable[[str], AbstractContextManager[Any]] = torch.profiler.record_function,
    ) -> None:
        self.batches, self.device, self._part = batches, device, part
        self.seconds_waited = 0.0
        self._left = num_batches
        self._ahead = device.type == "cuda" if ahead is None else ahead
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._next: tuple[Batch, Batch] | None = None
        self._error: Exception | None = None

    def take(self) -> tuple[Batch, Batch]:
        """Return the next batch, and the same on the device.

        Raises:
            Exception: what the iterator raised, for the step that has no batch then.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        batch, moved = self._next or self._fetch()
        self._next = None
        if self._stream is not None:
            computing = torch.cuda.current_stream(self.device)
            computing.wait_stream(self._stream)
            moved.record_stream(computing)  # its memory belongs to the other stream, which must not take it back too early
        return batch, moved

    def prepare(self) -> None:
        """Fetch the next batch now, if there is to be one."""
        if self._ahead and self._left:
            try:
                self._next = self._fetch()
            except Exception as error:  # the step that is being computed has its batch, and shall end
                self._error = error

    def _fetch(self) -> tuple[Batch, Batch]:
        given, asked = self._mark(), time.perf_counter()
        with self._part("wait for data"):
            batch = next(self.batches)
        self.seconds_waited += min(time.perf_counter() - asked, self._idle_since(given))
        self._left -= 1
        with self._part("copy to the device"), torch.cuda.stream(self._stream):  # None: no other stream
            return batch, batch.to(self.device)

    def _mark(self) -> torch.cuda.Event | None:
        """Return the end of what the device was given so far."""
        if self._stream is None:
            return None
        mark = torch.cuda.Event(enable_timing=True)
        mark.record(torch.cuda.current_stream(self.device))
        return mark

    def _idle_since(self, mark: torch.cuda.Event | None) -> float:
        """Return for how many seconds the device has had nothing to do after ``mark``; infinite where nobody knows."""
        if mark is None:
            return math.inf
        if not mark.query():
            return 0.0
        now = self._mark()
        assert now is not None
        now.synchronize()  # at once: the device is idle
        return mark.elapsed_time(now) / 1000
