"""What two runs have different, as tables: accuracy, the numbers of their logs, and the keys of their configs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dettoolkit.evaluation.analysis import Interval

_CLASSES = 20  # rows of classes at most: those that differ most
_LONGEST = 40  # characters of a config value
_OF_THE_FOLDER = ("OUTPUT_DIR",)  # keys that differ between any two runs
_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100", "loss")
_ABSENT = "(not set)"


def config_differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the values in A and in B by key, of the keys that differ; lists are compared whole."""
    a, b = _flat(first), _flat(second)
    return {
        key: [a.get(key, _ABSENT), b.get(key, _ABSENT)]
        for key in sorted({*a, *b})
        if a.get(key, _ABSENT) != b.get(key, _ABSENT) and key not in _OF_THE_FOLDER
    }


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return flat


def last_numbers(first: Path, second: Path, dataset: str) -> dict[str, list[float | None]]:
    """Return the last value in each run's ``metrics.jsonl``, by name, of accuracy, validation losses and iterations.

    Args:
        first: folder of A; one without ``metrics.jsonl``, as of an evaluation, has none.
        second: folder of B.
        dataset: whose numbers, where a run has several data sets.
    """
    a, b = (_last(folder / "metrics.jsonl", dataset) for folder in (first, second))
    return {name: [a.get(name), b.get(name)] for name in {**a, **b}} if a and b else {}


def _last(path: Path, dataset: str) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:  # a line that was cut off when a run was ended
            continue
        for name, value in row.items() if isinstance(row, dict) else ():
            name = name.removeprefix(f"{dataset}/")
            task, _, measure = name.rpartition("/")
            wanted = name == "iteration" or (task.count("/") == 0 and task and measure in _METRICS)
            if wanted and isinstance(value, (int, float)) and math.isfinite(value):
                numbers[name] = value
    return numbers


def precision_table(rows: Mapping[str, Sequence[Interval]]) -> str:
    """Return a row a number with its value in A and in B, each with its interval, and the difference with its own."""
    return _table(
        [[name, *(_with_limits(interval, index == 2) for index, interval in enumerate(row))] for name, row in rows.items()],
        ["", "A", "B", "B - A"],
    )


def class_rows(rows: dict[str, list[Interval]]) -> tuple[dict[str, list[Interval]], str]:
    """Return the rows of the classes that differ most, in their order, and a line on those that are left out."""
    if len(rows) <= 2 * _CLASSES:
        return rows, ""
    by_class = [name for name in rows if name.startswith("AP-")]
    moved = sorted(by_class, key=lambda name: -abs(rows[name][2].value) if rows[name][2].value == rows[name][2].value else 1)
    kept = [name for name in by_class if name in set(moved[:_CLASSES])]
    return {
        name: rows[name] for name in kept
    }, f"\n{_CLASSES} of {len(by_class)} classes, those whose AP differs most; --json has all."


def metric_table(metrics: Mapping[str, Sequence[float | None]]) -> str:
    """Return the last numbers of metrics.jsonl, or nothing without any."""
    if not metrics:
        return ""
    rows = [[name, *("n/a" if value is None else f"{value:.4g}" for value in pair)] for name, pair in metrics.items()]
    return _table(rows, ["last in metrics.jsonl", "A", "B"])


def key_table(keys: Mapping[str, Sequence[Any]]) -> str:
    """Return the config keys that differ, with both values."""
    if not keys:
        return "Their configs are the same."
    return _table([[key, *(_shortened(value) for value in pair)] for key, pair in keys.items()], ["config key", "A", "B"])


def _with_limits(interval: Interval, is_change: bool) -> str:
    if interval.value != interval.value:
        return "n/a"
    sign = "+" if is_change else ""
    if interval.low != interval.low:
        return f"{interval.value:{sign}.3f} (too few images)"
    return f"{interval.value:{sign}.3f} ({interval.low:{sign}.3f} to {interval.high:{sign}.3f})"


def _shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _table(rows: list[list[str]], headers: list[str]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)
