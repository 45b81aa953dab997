"""The section on who has the classification loss: figure 4 of the paper for this detector, and what the microscope saw."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dettoolkit.evaluation.analysis import FocalDistribution
from dettoolkit.evaluation.analysis.focal_distribution import GAMMAS
from dettoolkit.evaluation.analysis.logit_histogram import NEGATIVES, POSITIVES
from dettoolkit.report.charts import Chart, history_chart
from dettoolkit.report.tables import finite
from dettoolkit.visualization.chart_pictures import chart_picture
from dettoolkit.visualization.draw import save_picture
from dettoolkit.visualization.plots import Series, line_chart

_COLORS = ("#8b93a1", "#2f9e77", "#3f7fe0", "#e0641b")  # plain on white and on black, the paper's gamma = 2 the warmest
_SIDES = {"positives": POSITIVES, "negatives": NEGATIVES}
_X_LABEL, _Y_LABEL = "fraction of {}, easiest first", "cumulative normalised loss"
_STEPS = 300  # of a curve's length, fewer than the points that a chart would average
# metric of the microscope -> title, vertical axis, whether it is a share of something
_METRICS = {
    "positive_share": ("Positives' part of the loss", "part of the level's loss", True),
    "share": ("The level's part of the whole loss", "part of the whole loss", True),
    "hardest_share": ("The hardest 1 % of the anchors", "part of the level's loss", True),
    "p_t": ("Mean p_t of the positives", "p_t", True),
    "effective_negatives": ("Effective number of negatives", "negatives", False),
    "positives": ("Positives", "positives", False),
}


@dataclass(frozen=True)
class FocalSection:
    """What the template shows.

    Args:
        distributions: figure 4, positives and negatives.
        reading: what it says, in words.
        over_time: charts of the microscope by level.
        columns: of the table by class.
        rows: class -> (number to sort by, text, share for the bar or None) in the order of ``columns``.
        iteration: that the rows are of.
    """

    distributions: list[Chart]
    reading: str
    over_time: list[Chart]
    columns: list[str]
    rows: dict[str, list[tuple[float, str, float | None]]]
    iteration: int


def focal_section(distribution: FocalDistribution | None, history: Sequence[Mapping[str, Any]]) -> FocalSection | None:
    """Return the section, or None where neither figure 4 nor the microscope has anything.

    Args:
        distribution: as an evaluation measured it, or None.
        history: the lines of ``metrics.jsonl``.
    """
    over_time = [_level_chart(metric, history) for metric in _METRICS]
    columns, rows, iteration = _class_table(history)
    charts = [chart for chart in over_time if chart is not None]
    if distribution is None and not charts and not rows:
        return None
    figures = [] if distribution is None else [_distribution_chart(distribution, name) for name in _SIDES]
    reading = "" if distribution is None else reading_of(distribution)
    return FocalSection([chart for chart in figures if chart is not None], reading, charts, columns, rows, iteration)


def reading_of(distribution: FocalDistribution) -> str:
    """Return in words what the curves say."""
    halves = {
        (name, gamma): distribution.hardest_with(side, gamma) for name, side in _SIDES.items() for gamma in (0.0, GAMMAS[-1])
    }
    sides = [
        f"half of the loss of the {name} comes from the hardest {_percent(halves[name, GAMMAS[-1]])} of them "
        f"(with gamma = 0: {_percent(halves[name, 0.0])})"
        for name in _SIDES
        if math.isfinite(halves[name, 0.0])
    ]
    return (
        f"With gamma = {GAMMAS[-1]:g}, {', and '.join(sides)}. This is figure 4 of the paper for this detector on the test "
        f"set: a sample is a class at an anchor, here {distribution.num_positives:,} positives and "
        f"{distribution.num_negatives:,} negatives, and alpha does not matter."
    )


def write_focal_picture(distribution: FocalDistribution, path: Path) -> Path:
    """Write the charts of the distribution side by side as a picture, in the format of the ending, and return its path."""
    pictures = []
    for name in _SIDES:
        series = [line for line, _ in _distribution_series(distribution, name)]
        if series:
            pictures.append(chart_picture(series, f"Focal loss of the {name}", _X_LABEL.format(name), _Y_LABEL))
    return save_picture(np.concatenate(pictures, axis=1), path)


def _distribution_chart(distribution: FocalDistribution, name: str) -> Chart | None:
    series = _distribution_series(distribution, name)
    if not series:
        return None
    svg = line_chart([line for line, _ in series], _X_LABEL.format(name), _Y_LABEL, (0, 1), (0, 1), (440, 320))
    legend = [(line.name, line.color, f"half in the hardest {_percent(half)}") for line, half in series]
    return Chart(f"Focal loss of the {name}", svg, legend)


def _distribution_series(distribution: FocalDistribution, name: str) -> list[tuple[Series, float]]:
    """Return the curve of each gamma, and which fraction of the samples has half of the loss."""
    series = []
    for gamma, color in zip(GAMMAS, _COLORS, strict=True):
        fraction, loss = distribution.cumulative(_SIDES[name], gamma)
        if len(loss):
            kept = _evenly_along(fraction, loss)
            line = Series(f"gamma = {gamma:g}", fraction[kept].tolist(), loss[kept].tolist(), color)
            series.append((line, distribution.hardest_with(_SIDES[name], gamma)))
    return series


def _evenly_along(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the indices of points at about even distances along a rising curve, its ends among them."""
    steps = np.floor((x + y) / 2 * _STEPS)
    return np.union1d(np.unique(steps, return_index=True)[1], [len(x) - 1])


def _level_chart(metric: str, history: Sequence[Mapping[str, Any]]) -> Chart | None:
    title, y_label, _ = _METRICS[metric]
    keys = dict.fromkeys(key for line in history for key in line if re.fullmatch(rf"focal/([^/]+/)?{metric}", key))
    names = {key: key.split("/")[1] if key.count("/") > 1 else "all levels" for key in keys}
    return history_chart(title, y_label, names, history)


def _class_table(
    history: Sequence[Mapping[str, Any]],
) -> tuple[list[str], dict[str, list[tuple[float, str, float | None]]], int]:
    """Return columns, rows and iteration of the last look."""
    last: Mapping[str, Any] = next((line for line in reversed(history) if any(key.startswith("focal/") for key in line)), {})
    found: dict[str, dict[str, float]] = {}
    for metric in _METRICS:
        prefix = f"focal/{metric}-"
        for key, value in last.items():
            number = finite(value)
            if key.startswith(prefix) and number is not None:
                found.setdefault(key.removeprefix(prefix), {})[metric] = number
    columns = [metric for metric in _METRICS if any(metric in row for row in found.values())]
    rows = {name: [_cell(metric, row.get(metric)) for metric in columns] for name, row in found.items()}
    return columns, rows, last.get("iteration", 0)


def _cell(metric: str, value: float | None) -> tuple[float, str, float | None]:
    is_share = _METRICS[metric][2]
    if value is None:
        return -1.0, "n/a", None
    return value, f"{value:.3f}" if is_share else f"{value:,.0f}", value if is_share else None


def _percent(share: float) -> str:
    """Return a share with two digits: 12 %, 1.2 %, 0.012 %."""
    percent = 100 * share
    digits = 1 - math.floor(math.log10(percent)) if percent > 0 else 0
    return f"{percent:.{max(0, digits)}f} %"
