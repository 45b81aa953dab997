"""How often the host waits for the device in a step of training: by the profiler, and by torch's own check."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import torch
from tabulate import tabulate

from dettoolkit.engine.hooks import LearningRate, MetricWriters, NonFiniteLoss, ParametersWithoutGradient
from dettoolkit.engine.trainer import Trainer
from dettoolkit.solver.optimizers import SGD
from dettoolkit.structures import Batch

WAITS = ("cudaDeviceSynchronize", "cudaStreamSynchronize", "cudaEventSynchronize", "cudaMemcpy")
ALLOCATIONS = ("cudaMalloc", "cudaFree")  # both wait for the device
COPIES = {"Memcpy DtoH": "copies to the host", "Memcpy HtoD (Pageable": "copies of pageable memory to the device"}
_OF_SYNC_CHECK = "called a synchronizing CUDA operation"
_NEVER = 10**9


@dataclass(frozen=True)
class SyncsOfAStep:
    """Averages over steps, by name.

    Args:
        profiled: calls that wait, copies to the host, allocations.
        places: of torch's synchronisation check: file and line of each call that waits.
    """

    profiled: dict[str, float]
    places: dict[str, float]

    def table(self) -> str:
        """Return both as text."""
        waits = sum(self.profiled.get(name, 0.0) for name in WAITS)
        rows = [["waiting for the device, in all", f"{waits:.2f}"]]
        rows += [[f"  {name}", f"{number:.2f}"] for name, number in sorted(self.profiled.items())]
        rows += [["torch.cuda.set_sync_debug_mode, in all", f"{sum(self.places.values()):.2f}"]]
        rows += [[f"  {place}", f"{number:.2f}"] for place, number in sorted(self.places.items())]
        return tabulate(rows, ["", "a step"], disable_numparse=True, colalign=("left", "right"))


def counted(names: Iterable[str]) -> Counter[str]:
    """Return how often each event occurs that makes the host wait, or may: copies, which torch's own check does not see.

    Args:
        names: of the profiler's events.
    """
    found: Counter[str] = Counter()
    for name in names:
        if name in WAITS or name in ALLOCATIONS:
            found[name] += 1
        found.update(kind for beginning, kind in COPIES.items() if name.startswith(beginning))
    return found


def per_step(short: Counter[str], long: Counter[str], steps: int) -> dict[str, float]:
    """Return what each of ``steps`` further steps adds: what beginning and end of a training cost is in both counts."""
    return {name: (long[name] - short[name]) / steps for name in long.keys() | short.keys() if long[name] != short[name]}


def count_syncs(train: Callable[[int], Any], steps: int) -> SyncsOfAStep:
    """Return what a step of ``train`` waits for: trainings of ``steps`` and twice as many steps are compared.

    Args:
        train: trains for a number of steps.
        steps: 1 or more.
    """
    train(2 * steps)  # memory is allocated, algorithms are chosen
    counts = [[count(train, number * steps) for number in (1, 2)] for count in (_profiled, _places)]
    return SyncsOfAStep(*(per_step(short, long, steps) for short, long in counts))


def train_for(model: Any, batches: Sequence[Batch], steps: int, device: torch.device) -> Trainer:
    """Train in bf16 with the hooks of a usual run, but for what writes; the numbers of the steps are collected, not fetched."""
    optimizer = SGD(model, lr=1e-6)
    hooks = [LearningRate(_Constant()), ParametersWithoutGradient(), NonFiniteLoss(), MetricWriters([], period=_NEVER)]
    trainer = Trainer(
        model,
        model,
        optimizer,
        cycle(batches),
        hooks,
        device=device,
        num_iterations=steps,
        iterations_per_epoch=steps,
        amp="bf16",
    )
    trainer.train()
    return trainer


class _Constant:
    def multiplier(self, iteration: int) -> float:
        del iteration
        return 1.0


def _profiled(train: Callable[[int], Any], steps: int) -> Counter[str]:
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        train(steps)
    return counted(event.name for event in profile.events())


def _places(train: Callable[[int], Any], steps: int) -> Counter[str]:
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            train(steps)
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return places(found)


def places(found: Iterable[warnings.WarningMessage]) -> Counter[str]:
    """Return how often each line of code is warned of as one that waits."""
    waiting = [warning for warning in found if _OF_SYNC_CHECK in str(warning.message)]
    return Counter(f"{os.path.relpath(warning.filename)}:{warning.lineno}" for warning in waiting)
