"""Timing contestants in turn: medians, spread and memory."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch


@dataclass(frozen=True)
class Row:
    """Work that several contestants do.

    Args:
        title: what is done, with its sizes.
        contestants: name -> call that does all of it; the first is ours.
        difference: how far the results of ours and the last are apart, as the row defines it; more than ``tolerance`` is an
            error, since a faster wrong result is none.
        tolerance: what is accepted.
        images: of one call, where images a second are to be told.
    """

    title: str
    contestants: dict[str, Callable[[], Any]]
    difference: Callable[[], float] | None = None
    tolerance: float = 0.0
    images: int | None = None


@dataclass
class Timing:
    """What one contestant took.

    Args:
        seconds: of each round.
        extra_mib: the most memory at a time beyond what was held before, of one further call; None where it is not known.
    """

    seconds: list[float] = field(default_factory=list)
    extra_mib: float | None = None

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)


def measure(row: Row, rounds: int, device: torch.device) -> dict[str, Timing]:
    """Return the timing of each contestant of a row, after one call of each for warming up.

    A round calls each once, so that what else happens on the machine meets all of them.

    Raises:
        ValueError: the results differ by more than the row accepts.
    """
    if row.difference is not None and not (found := row.difference()) <= row.tolerance:
        raise ValueError(f"{row.title}: the results differ by {found:.3g}, accepted is {row.tolerance:.3g}")
    timings = {name: Timing() for name in row.contestants}
    for call in row.contestants.values():
        call()
    for _ in range(rounds):
        for name, call in row.contestants.items():
            timings[name].seconds.append(_seconds(call, device))
    for name, call in row.contestants.items():
        timings[name].extra_mib = extra_mib(call, device)
    return timings


def _seconds(call: Callable[[], Any], device: torch.device) -> float:
    _wait(device)
    started = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def extra_mib(call: Callable[[], Any], device: torch.device) -> float | None:
    """Return what a call holds at most beyond what was held before, MiB; None where the system does not say."""
    gc.collect()
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    marks = Path("/proc/self/clear_refs")
    if not marks.exists():  # Linux alone says how much a process held at most
        return None
    _give_back_freed_memory()  # what is taken from it again would not be seen
    marks.write_text("5")
    before = _status("VmRSS")
    call()
    return (_status("VmHWM") - before) / 1024


def resident_mib() -> float | None:
    """Return the memory that this process holds, garbage and freed memory not counted; None where the system does not say."""
    gc.collect()
    _give_back_freed_memory()
    return _status("VmRSS") / 1024 if Path("/proc/self/status").exists() else None


def _give_back_freed_memory() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc has it, other C libraries keep little
        trim(0)


def _status(name: str) -> int:
    """Return a line of ``/proc/self/status``, kibibytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
