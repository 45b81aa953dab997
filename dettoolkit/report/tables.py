"""The headline numbers and the table by class, as the template shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEADLINE = {
    "AP": "IoU 0.50 to 0.95",
    "AP50": "IoU 0.50",
    "AP75": "IoU 0.75",
    "APs": "small objects",
    "APm": "medium objects",
    "APl": "large objects",
}


@dataclass(frozen=True)
class Table:
    """Numbers of one data set and task.

    Args:
        name: data set, and the task where it is not boxes.
        headline: metric -> (explanation, value) in the order of the page; the first is the main one.
        columns: metrics of the table by class.
        rows: class -> values in the order of ``columns``.
    """

    name: str
    headline: dict[str, tuple[str, float | None]]
    columns: list[str]
    rows: dict[str, list[float | None]]


def make_tables(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[Table]:
    """Return a table for each data set and task; values that are None or not finite become None."""
    return [
        _table(dataset if task == "bbox" else f"{dataset}, {task}", metrics)
        for dataset, tasks in results.items()
        for task, metrics in tasks.items()
    ]


def number(value: float | None) -> str:
    """Return a metric with three decimals, or ``n/a``."""
    return "n/a" if value is None else f"{value:.3f}"


def finite(value: Any) -> float | None:
    """Return the value as a float, or None for None, NaN and infinity."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _table(name: str, metrics: Mapping[str, Any]) -> Table:
    numbers = {key: finite(value) for key, value in metrics.items() if not isinstance(value, Mapping)}
    known = {key: (HEADLINE[key], numbers[key]) for key in HEADLINE if key in numbers}
    others = {key: ("", value) for key, value in numbers.items() if key not in HEADLINE}
    per_class = {
        name: values if isinstance(values, Mapping) else {"AP": values} for name, values in metrics.get("per_class", {}).items()
    }
    columns = list(dict.fromkeys(column for values in per_class.values() for column in values))
    rows = {name: [finite(values.get(column)) for column in columns] for name, values in per_class.items()}
    return Table(name, known | others, columns, rows)
