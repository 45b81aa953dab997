"""What each type of error costs: the section on the error budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dettoolkit.evaluation.analysis import ERROR_TYPES, DetectionAnalysis, ErrorCosts
from dettoolkit.report.grid import Cell, Grid, Row, count
from dettoolkit.visualization.palette import class_color, hex_color

MEANINGS = {
    "classification": "in the right place, of the wrong class",
    "localisation": "of the right class, in a place that is not exact enough",
    "both": "neither class nor place",
    "duplicate": "an object that was found already",
    "background": "where nothing is annotated",
    "missed": "an object that nothing finds",
}
"""Error type -> what it is, in words."""


@dataclass(frozen=True)
class ErrorSection:
    """What the template shows.

    Args:
        reading: how to read it, in a sentence.
        budget: counts and costs over all classes.
        by_class: costs of each type by class.
    """

    reading: str
    budget: Grid
    by_class: Grid


def error_section(analysis: DetectionAnalysis | None) -> ErrorSection | None:
    """Return the section, or None without an analysis."""
    if analysis is None:
        return None
    costs = analysis.error_costs
    ap = "n/a" if costs.ap is None else f"{costs.ap:.3f}"
    reading = (
        f"What AP at an IoU of {costs.iou_threshold:g}, now {ap}, would gain if all errors of one type were mended. Counts are "
        "of all detections, whatever their score, so that a type can be frequent and cheap. Costs do not add up: an error that "
        "is mended uncovers others."
    )
    return ErrorSection(reading, _budget(costs), _by_class(costs, analysis.class_names))


def _budget(costs: ErrorCosts) -> Grid:
    dearest = max(float(costs.ap_costs.max()), costs.false_positive_cost, costs.false_negative_cost)
    order = np.argsort(-costs.ap_costs, kind="stable").tolist()
    rows = [
        Row(
            ERROR_TYPES[kind],
            [_cost(float(costs.ap_costs[kind]), dearest), count(int(costs.counts[kind].sum()))],
            MEANINGS[ERROR_TYPES[kind]],
        )
        for kind in order
    ]
    none = Cell("", None)
    rows += [
        Row("all wrong detections", [_cost(costs.false_positive_cost, dearest), none], "if they came after all right ones"),
        Row("all objects not found", [_cost(costs.false_negative_cost, dearest), none], "if none were left to find"),
    ]
    return Grid("Errors by type", "Error", ("AP50 lost", "Count"), rows)


def _by_class(costs: ErrorCosts, class_names: Sequence[str]) -> Grid:
    known = costs.costs[~np.isnan(costs.costs)]
    dearest = float(known.max()) if known.size else 0.0
    rows = [
        Row(
            name,
            [
                _of_class(float(costs.costs[kind, label]), int(costs.counts[kind, label]), dearest)
                for kind in range(len(ERROR_TYPES))
            ],
            color=hex_color(class_color(label)),
        )
        for label, name in enumerate(class_names)
    ]
    return Grid("AP50 lost by class, and the count of errors", "Class", ERROR_TYPES, rows)


def _cost(cost: float, dearest: float) -> Cell:
    return Cell(f"{cost:.4f}", cost, cost / dearest if dearest > 0 else 0.0)


def _of_class(cost: float, number: int, dearest: float) -> Cell:
    if np.isnan(cost):
        return Cell(f"n/a ({number:,})", None)
    return Cell(f"{cost:.4f} ({number:,})", cost, cost / dearest if dearest > 0 else 0.0)
