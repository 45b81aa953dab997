"""Bringing numbers to the writers."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from dettoolkit.distributed import is_main_process, mean_over_processes
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.trainer import Trainer
from dettoolkit.registry import HOOKS, WRITERS, Component, ListOf


@HOOKS.register()
class MetricWriters(Hook):
    """Every ``period`` steps, gives the mean of each number over these steps and all processes to the writers.

    The numbers of an evaluation are written at once. Stands last but for hooks that read what it wrote.

    Args:
        writers: console, JSON lines, TensorBoard, ...
        period: steps between two lines.
    """

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

    def before_train(self, trainer: Trainer) -> None:
        """Let the writers take up the files of an earlier part of the run."""
        if is_main_process():
            for writer in self.writers:
                writer.open(trainer)

    def after_step(self, trainer: Trainer) -> None:
        """Collect, and write when it is time."""
        for name, value in trainer.latest_metrics.items():
            self._values[name].append(value)  # on the device: fetched once a period
        if trainer.iteration % self.period == 0 or trainer.iteration == trainer.num_iterations or trainer.recorded:
            self._write(trainer, self._means())
        if trainer.recorded:
            self._write(trainer, trainer.recorded)

    def after_train(self, trainer: Trainer) -> None:
        """Close the files."""
        self._close()

    def on_exception(self, trainer: Trainer, error: BaseException) -> None:
        """Close the files, so that nothing written is lost."""
        self._close()

    def _means(self) -> dict[str, float]:
        names = list(self._values)
        means = [_mean(values) for values in self._values.values()]
        self._values.clear()
        return dict(zip(names, mean_over_processes(torch.stack(means)).tolist(), strict=True)) if names else {}

    def _write(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        if is_main_process() and numbers:
            for writer in self.writers:
                writer.write(trainer, numbers)

    def _close(self) -> None:
        if is_main_process():
            for writer in self.writers:
                writer.close()


def _mean(values: list[Any]) -> Tensor:
    """Return the float64 mean of scalars on the device, in one copy, or of Python numbers."""
    if isinstance(values[0], Tensor):
        return torch.stack(values).cpu().double().mean()  # float64 on the CPU: MPS has none
    return torch.tensor(values, dtype=torch.float64).mean()
