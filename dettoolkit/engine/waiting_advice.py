"""What to do about a training that waits for its data."""

from __future__ import annotations

import logging
import os
from typing import Any

logger = logging.getLogger(__name__)

_TOO_MUCH = 0.2  # of the time


class WaitingAdvice:
    """Warns once if more than a fifth of the time of a logging period was spent on waiting for data.

    Nothing is said of the first period, in which workers start and caches fill.
    """

    def __init__(self) -> None:
        self._periods = 0
        self._told = False

    def after_period(self, seconds: float, seconds_waited: float, loader: Any) -> None:
        """Look at the mean times of a step in a period.

        Args:
            seconds: that a step took.
            seconds_waited: that it waited of these.
            loader: of the training; if it has ``workers``, their number is told.
        """
        self._periods += 1
        if self._periods > 1 and not self._told and seconds_waited > _TOO_MUCH * seconds:
            self._told = True
            logger.warning(
                "the training waits for data %.0f %% of the time: %s", 100 * seconds_waited / seconds, _advice(loader)
            )


def _advice(loader: Any) -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    workers = getattr(getattr(loader, "workers", None), "count", None)
    if workers is None:
        return "more workers for its loader, smaller images or a faster disk would help."
    number = f"DATALOADER.NUM_WORKERS is {workers}" + (f" for each of {processes} processes" if processes > 1 else "")
    if workers * processes < cores:
        return f"{number}, and this machine has {cores} cores: raise it, or use smaller images or a faster disk."
    return f"{number}, as much as this machine's {cores} cores can do: smaller images or a faster disk would help."
