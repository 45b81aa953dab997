"""Where the time goes: of an image in the evaluation, and of a step in the training."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dettoolkit.report.contents import EvaluationTime
from dettoolkit.report.grid import Cell, Grid, Row
from dettoolkit.report.tables import finite


@dataclass(frozen=True)
class SpeedSection:
    """What the template shows.

    Args:
        evaluation: milliseconds an image by part; None: not measured.
        evaluated: what was measured, in words.
        training: name -> (number, in words); empty: not trained, or not measured.
    """

    evaluation: Grid | None
    evaluated: str
    training: dict[str, tuple[str, str]]


def speed_section(
    time: EvaluationTime | None, history: Sequence[Mapping[str, Any]], batch_size: int | None
) -> SpeedSection | None:
    """Return the section, or None where nothing was measured.

    Args:
        time: of an evaluation.
        history: the lines of ``metrics.jsonl``, with ``time`` and ``data_time`` in seconds a step.
        batch_size: images of a step; None: unknown.
    """
    training = _training(history, batch_size)
    if time is None or not time.num_images:
        return SpeedSection(None, "", training) if training else None
    total = sum(time.seconds.values())
    rows = [Row(part, _cells(seconds, time.num_images, total)) for part, seconds in time.seconds.items()]
    whole = Row("all", _cells(total, time.num_images, total))
    grid = Grid("Evaluation", "Part", ("ms an image", "of the time"), rows, whole)
    rate = f"{time.num_images / total:,.1f} images a second" if total > 0 else "too fast to be measured"
    return SpeedSection(grid, f"{time.num_images:,} images of {time.dataset} on {time.device}: {rate}.", training)


def _cells(seconds: float, num_images: int, total: float) -> list[Cell]:
    milliseconds, share = 1000 * seconds / num_images, seconds / total if total > 0 else 0.0
    return [Cell(f"{milliseconds:,.2f}", milliseconds), Cell(f"{100 * share:.1f} %", share, share)]


def _training(history: Sequence[Mapping[str, Any]], batch_size: int | None) -> dict[str, tuple[str, str]]:
    """Return medians over the lines: the first steps, and those beside other work, do not decide."""
    steps = _column(history, "time")
    if not steps:
        return {}
    step, waiting = statistics.median(steps), _column(history, "data_time")
    shown = {"Step": (f"{step:.3f} s", "median of the training")}
    if waiting:
        share = statistics.median(waiting) / step if step > 0 else 0.0
        shown["Waiting for data"] = (f"{100 * share:.1f} %", f"of a step, {1000 * statistics.median(waiting):,.1f} ms")
    if batch_size and step > 0:
        shown["Images a second"] = (f"{batch_size / step:,.1f}", f"{batch_size} images a step")
    return shown


def _column(history: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    return [value for line in history if (value := finite(line.get(key))) is not None]
