"""Precision, recall and F1 against the score, and the score thresholds that are chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dettoolkit.evaluation.analysis import DetectionAnalysis, OperatingPoint, ScoreCurve
from dettoolkit.report.charts import Chart
from dettoolkit.report.grid import Cell, Grid, Row, count, metric
from dettoolkit.visualization.palette import class_color, hex_color
from dettoolkit.visualization.plots import Series, line_chart

_POINTS = 150  # of a curve: one for three units of the chart's width

_UNIT = (0.0, 1.0)

_Column = Callable[[ScoreCurve], np.ndarray]


@dataclass(frozen=True)
class ScoreSection:
    """What the template shows.

    Args:
        wish: what the thresholds are chosen for, in words.
        thresholds: by class.
        notes: classes whose wish is not met, each with the reason.
        charts: with a line for each class.
        legend: (name, colour, F1 at the threshold) of each class, for all charts.
    """

    wish: str
    thresholds: Grid
    notes: list[tuple[str, str]]
    charts: list[Chart]
    legend: list[tuple[str, str, str]]


def score_section(analysis: DetectionAnalysis | None) -> ScoreSection | None:
    """Return the section, or None without an analysis."""
    if analysis is None:
        return None
    names, points = analysis.class_names, analysis.operating_points
    colors = [hex_color(class_color(label)) for label in range(len(names))]
    rows = [_row(name, point, color) for name, point, color in zip(names, points, colors, strict=True)]
    columns = ("Score from", "Precision", "Recall", "F1", "Right", "False", "Not found")
    return ScoreSection(
        wish_in_words(analysis.thresholds.wish),
        Grid("Thresholds by class", "Class", columns, rows),
        [(name, point.note) for name, point in zip(names, points, strict=True) if not point.is_met],
        _charts(names, analysis.curves, points, colors),
        [(name, color, _f1(point)) for name, color, point in zip(names, colors, points, strict=True)],
    )


def wish_in_words(wish: str) -> str:
    """Return what a wish, as ``Wish`` writes it, asks for."""
    if wish == "best_f1":
        return "the highest F1"
    if wish.startswith("cost="):
        false_alarm, _, miss = wish.removeprefix("cost=").partition(":")
        return f"the lowest cost, where a false alarm costs {false_alarm} and a missed object {miss}"
    kind, _, least = wish.partition(">=")
    other = {"precision": "recall", "recall": "precision"}.get(kind, "")
    return f"a {kind} of at least {least} and then the highest {other}" if other else wish


def _row(name: str, point: OperatingPoint, color: str) -> Row:
    threshold = Cell("n/a", None) if point.threshold is None else Cell(f"{point.threshold:.3f}", point.threshold)
    numbers = [metric(point.precision), metric(point.recall), metric(point.f1)]
    counts = [count(point.true_positives), count(point.false_positives), count(point.misses)]
    return Row(name, [threshold, *numbers, *counts], color=color)


def _f1(point: OperatingPoint) -> str:
    if point.f1 is None or point.threshold is None:
        return "n/a"
    return f"F1 {point.f1:.2f} at score {point.threshold:.2f}"


def _charts(
    names: Sequence[str], curves: Sequence[ScoreCurve], points: Sequence[OperatingPoint], colors: Sequence[str]
) -> list[Chart]:
    """Return precision over recall, and each of F1, precision and recall over the score."""

    def chart(title: str, x_label: str, y_label: str, x: _Column, y: _Column) -> Chart:
        kept = [_kept(curve, point) for curve, point in zip(curves, points, strict=True)]
        series = [
            Series(name, _numbers(x(curve)[rows]), _numbers(y(curve)[rows]), color, _marks(curve, point, x, y))
            for name, curve, point, color, rows in zip(names, curves, points, colors, kept, strict=True)
        ]
        drawn = [line for line in series if any(value is not None for value in line.y)]
        return Chart(title, line_chart(drawn, x_label, y_label, _UNIT, _UNIT, (440, 300)), [])

    charts = [
        chart("Precision and recall", "recall", "precision", lambda curve: curve.recall, lambda curve: curve.precision),
        chart("F1 by score threshold", "score from", "F1", _thresholds, lambda curve: curve.f1),
        chart("Precision by score threshold", "score from", "precision", _thresholds, lambda curve: curve.precision),
        chart("Recall by score threshold", "score from", "recall", _thresholds, lambda curve: curve.recall),
    ]
    return charts if any("data-series" in each.svg for each in charts) else []


def _thresholds(curve: ScoreCurve) -> np.ndarray:
    return np.minimum(curve.thresholds, 1.0)  # the first one lies above all scores


def _kept(curve: ScoreCurve, point: OperatingPoint) -> np.ndarray:
    """Return the indices of the points that are drawn, the chosen threshold among them."""
    last = len(curve.thresholds) - 1
    # evenly over the detections for the curve's shape over recall, evenly over the scores for that over the score
    by_rank = np.linspace(0, last, _POINTS // 2).round().astype(int)
    by_score = np.searchsorted(-curve.thresholds, -np.linspace(1, 0, _POINTS // 2)).clip(0, last)
    return np.unique(np.concatenate([by_rank, by_score, _index(curve, point)]))


def _index(curve: ScoreCurve, point: OperatingPoint) -> np.ndarray:
    if point.threshold is None:
        return np.zeros(0, dtype=int)
    return np.flatnonzero(curve.thresholds == np.float32(point.threshold))[:1]


def _marks(curve: ScoreCurve, point: OperatingPoint, x: _Column, y: _Column) -> list[tuple[float, float]]:
    rows = _index(curve, point)
    return [(a, b) for a, b in zip(x(curve)[rows].tolist(), y(curve)[rows].tolist(), strict=True) if np.isfinite(a + b)]


def _numbers(column: np.ndarray) -> list[float]:
    """Return plain numbers; line_chart breaks the line at NaN in y, and x must be there."""
    return np.asarray(column, dtype=np.float64).tolist()
