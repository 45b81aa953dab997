"""Results for people (text tables) and for metric writers (flat names)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dettoolkit.evaluation.evaluator import Results

FEW_CLASSES = 20
COLUMN_GROUPS = 3


def flatten(results: Results) -> dict[str, float]:
    """Return results under one name each: ``bbox/AP``, ``bbox/AP50`` and by class ``bbox/AP-cat``; None is left out."""
    flat: dict[str, float] = {}
    for task, numbers in results.items():
        flat |= {f"{task}/{name}": value for name, value in numbers.items() if name != "per_class" and value is not None}
        for class_name, by_name in numbers.get("per_class", {}).items():
            flat |= {f"{task}/{name}-{class_name}": value for name, value in by_name.items() if value is not None}
    return flat


def format_results(results: Results) -> str:
    """Return results as text: for each task a table of the summary and one of the classes; ``n/a`` for None."""
    return "\n\n".join(
        table
        for task, numbers in results.items()
        for table in (_summary_table(task, numbers), _class_table(numbers.get("per_class", {})))
        if table
    )


def _cell(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _table(rows: list[list[str]], headers: list[str]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def _summary_table(task: str, numbers: Mapping[str, Any]) -> str:
    summary = {name: value for name, value in numbers.items() if name != "per_class"}
    return _table([[task, *map(_cell, summary.values())]], ["", *summary])


def _class_table(per_class: Mapping[str, Mapping[str, float | None]]) -> str:
    """Return a row a class, or for many classes several of them side by side, read downwards."""
    if not per_class:
        return ""
    headers = ["class", *next(iter(per_class.values()))]
    rows = [[name, *map(_cell, by_name.values())] for name, by_name in per_class.items()]
    groups = 1 if len(rows) <= FEW_CLASSES else COLUMN_GROUPS
    height = -(-len(rows) // groups)
    rows += [[""] * len(headers)] * (height * groups - len(rows))
    side_by_side = [[cell for row in rows[line::height] for cell in row] for line in range(height)]
    return _table(side_by_side, headers * groups)
