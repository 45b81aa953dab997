"""Bringing numbers to the writers."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from dettoolkit.distributed import is_main_process, mean_over_processes
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.trainer import Trainer
from dettoolkit.engine.waiting_advice import WaitingAdvice
from dettoolkit.registry import HOOKS, WRITERS, Component, ListOf


@HOOKS.register()
class MetricWriters(Hook):
    """Every ``period`` steps, gives the mean of each number over these steps and all processes to the writers.

    The numbers of an evaluation are written at once. Stands last but for hooks that read what it wrote.

    Args:
        writers: console, JSON lines, TensorBoard, ...
        period: steps between two lines.
    """

    stands_after = ("Evaluation",)

    PARTS = {  # noqa: RUF012
        "WRITERS": ListOf(
            Component(WRITERS, wired=("folder",)),
            ({"NAME": "ConsoleWriter"}, {"NAME": "JSONLinesWriter"}, {"NAME": "TensorBoardWriter"}),
            doc="Where numbers go.",
        )
    }

    def __init__(self, writers: list[Any], period: int = 20) -> None:
        if period < 1:
            raise ValueError(f"period expects at least 1, got {period}")
        self.writers = writers
        self.period = period
        self._values: dict[str, list[Any]] = defaultdict(list)
        self._advice = WaitingAdvice()

    def before_train(self, trainer: Trainer) -> None:
        """Let the writers take up the files of an earlier part of the run."""
        self._advice = WaitingAdvice()
        if is_main_process():
            for writer in self.writers:
                writer.open(trainer)

    def is_due(self, trainer: Trainer) -> bool:
        """Return whether it is time to write."""
        return trainer.iteration % self.period == 0 or trainer.iteration == trainer.num_iterations

    def after_step(self, trainer: Trainer) -> None:
        """Collect, and write when it is time."""
        for name, value in trainer.latest_metrics.items():
            self._values[name].append(value)  # on the device: fetched once a period
        if self.is_due(trainer) or trainer.recorded:
            numbers = self._means()
            self._write(trainer, numbers)
            if trainer.iteration % self.period == 0 and is_main_process():
                self._advice.after_period(numbers["time"], numbers["data_time"], trainer.batches)
        if trainer.recorded:
            self._write(trainer, trainer.recorded)

    def after_train(self, trainer: Trainer) -> None:
        """Close the files."""
        self._close()

    def on_exception(self, trainer: Trainer, error: BaseException) -> None:
        """Close the files, so that nothing written is lost."""
        self._close()

    def _means(self) -> dict[str, float]:
        names, values = list(self._values), list(self._values.values())
        self._values.clear()
        return dict(zip(names, mean_over_processes(_means(values)).tolist(), strict=True)) if names else {}

    def _write(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        if is_main_process() and numbers:
            for writer in self.writers:
                writer.write(trainer, numbers)

    def _close(self) -> None:
        if is_main_process():
            for writer in self.writers:
                writer.close()


def _means(columns: list[list[Any]]) -> Tensor:
    """Return the float64 mean of each list of Python numbers and scalar tensors."""
    fetched = iter(_fetched([value for column in columns for value in column]))
    return torch.stack([torch.tensor([next(fetched) for _ in column], dtype=torch.float64).mean() for column in columns])


def _fetched(values: list[Any]) -> list[float]:
    """Return Python numbers; the tensors of a device come in one copy."""
    numbers = list(values)
    for device in {value.device for value in values if isinstance(value, Tensor)}:
        places = [place for place, value in enumerate(values) if isinstance(value, Tensor) and value.device == device]
        dtype = torch.float64 if device.type == "cpu" else torch.float32  # MPS has no float64
        copied = torch.stack([values[place].to(dtype) for place in places]).tolist()
        for place, number in zip(places, copied, strict=True):
            numbers[place] = number
    return numbers
