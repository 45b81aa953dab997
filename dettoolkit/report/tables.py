"""The headline numbers and the table by class, as the template shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dettoolkit.evaluation.analysis import Interval, PrecisionIntervals
from dettoolkit.report.grid import Cell, Grid, Row, metric
from dettoolkit.visualization.palette import class_color, hex_color

_SAME = 1e-6  # of two numbers that are one

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
        intervals: metric -> its interval in words, of those that have one.
        by_class: metrics by class; None without.
        confidence: of the intervals in percent; None without intervals.
    """

    name: str
    headline: dict[str, tuple[str, float | None]]
    intervals: dict[str, str]
    by_class: Grid | None
    confidence: str | None


def make_tables(
    results: Mapping[str, Mapping[str, Mapping[str, Any]]],
    intervals: Mapping[str, PrecisionIntervals],
    class_names: Sequence[str],
) -> list[Table]:
    """Return a table for each data set and task; values that are None or not finite become None.

    Args:
        results: data set -> task -> metric -> number.
        intervals: data set -> AP with intervals, of the boxes.
        class_names: ``[K]``; their labels are those of the intervals, and of the colours.
    """
    tables = []
    labels = {name: label for label, name in enumerate(class_names)}
    for dataset, tasks in results.items():
        for task, metrics in tasks.items():
            of_boxes = task == "bbox"
            known = _Known(metrics, intervals.get(dataset) if of_boxes else None, labels)
            tables.append(known.table(dataset if of_boxes else f"{dataset}, {task}"))
    return tables


def number(value: float | None) -> str:
    """Return a metric with three decimals, or ``n/a``."""
    return "n/a" if value is None else f"{value:.3f}"


def finite(value: Any) -> float | None:
    """Return the value as a float, or None for None, NaN and infinity."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def interval_text(interval: Interval) -> str:
    """Return an interval with three decimals; empty where there is none."""
    ends = (interval.low, interval.high)
    return f"{ends[0]:.3f} to {ends[1]:.3f}" if all(map(math.isfinite, ends)) else ""


class _Known:
    """Numbers of one data set and task, and the intervals that are of the same numbers."""

    def __init__(self, metrics: Mapping[str, Any], intervals: PrecisionIntervals | None, labels: Mapping[str, int]) -> None:
        self.metrics, self.labels = metrics, labels
        ap = finite(metrics.get("AP"))
        # VOC's rules, or another limit of detections, make another AP: its interval would be of something else
        is_same = intervals is not None and ap is not None and abs(intervals.ap.value - ap) < _SAME
        self.intervals = intervals if is_same else None

    def table(self, name: str) -> Table:
        """Return what the page shows."""
        numbers = {key: finite(value) for key, value in self.metrics.items() if not isinstance(value, Mapping)}
        known = {key: (HEADLINE[key], numbers[key]) for key in HEADLINE if key in numbers}
        others = {key: ("", value) for key, value in numbers.items() if key not in HEADLINE}
        confidence = None if self.intervals is None else f"{100 * self.intervals.confidence:g}"
        return Table(name, known | others, self._headline(), self._by_class(confidence), confidence)

    def _headline(self) -> dict[str, str]:
        if self.intervals is None:
            return {}
        texts = {"AP": interval_text(self.intervals.ap), "AP50": interval_text(self.intervals.ap50)}
        return {name: text for name, text in texts.items() if text}

    def _by_class(self, confidence: str | None) -> Grid | None:
        per_class = {
            name: values if isinstance(values, Mapping) else {"AP": values}
            for name, values in self.metrics.get("per_class", {}).items()
        }
        if not per_class:
            return None
        columns = list(dict.fromkeys(column for values in per_class.values() for column in values))
        headings = [heading for column in columns for heading in self._headings(column, confidence)]
        rows = [self._row(name, values, columns) for name, values in per_class.items()]
        return Grid("By class", "Class", headings, rows)

    def _row(self, name: str, values: Mapping[str, Any], columns: Sequence[str]) -> Row:
        label = self.labels.get(name)
        color = "" if label is None else hex_color(class_color(label))
        return Row(name, [cell for column in columns for cell in self._cells(label, column, values)], color=color)

    def _headings(self, column: str, confidence: str | None) -> list[str]:
        return [column, f"{confidence} % interval"] if self._of_classes(column) else [column]

    def _of_classes(self, column: str) -> tuple[Interval, ...]:
        """Return the intervals of a metric by label."""
        if self.intervals is None:
            return ()
        return {"AP": self.intervals.ap_by_class, "AP50": self.intervals.ap50_by_class}.get(column, ())

    def _cells(self, label: int | None, column: str, values: Mapping[str, Any]) -> list[Cell]:
        value, intervals = metric(finite(values.get(column))), self._of_classes(column)
        if not intervals:
            return [value]
        interval = None if label is None else intervals[label]
        text = "" if interval is None else interval_text(interval)
        if interval is None or not text:
            return [value, Cell("n/a", None)]
        ends = (interval.low, interval.high)
        return [replace(value, interval=ends), Cell(text, interval.high - interval.low)]
