"""Whether a score can be believed: reliability, its error, and the temperature that mends it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dettoolkit.evaluation.analysis import Calibration, ReliabilityCurve
from dettoolkit.evaluation.analysis.calibration import TEMPERATURES
from dettoolkit.report.charts import Chart
from dettoolkit.report.grid import Grid, Row, metric
from dettoolkit.visualization.column_chart import column_chart
from dettoolkit.visualization.palette import class_color, hex_color
from dettoolkit.visualization.plots import Series, line_chart, tick_label

_BELIEVABLE = 0.03  # an error of calibration that is not worth a step of its own
_WORTHWHILE = 0.5  # of the error: what a temperature must take away to be recommended

_COLORS = {"as they are": "#e0641b", "with the temperature": "#2f9e77", "ideal": "#8b93a1"}  # plain on white and on black


@dataclass(frozen=True)
class CalibrationSection:
    """What the template shows.

    Args:
        advice: what to do, in a sentence or two.
        numbers: name -> (number, in words).
        charts: reliability, and how many detections there are of each score.
        by_class: error of each class.
    """

    advice: str
    numbers: dict[str, tuple[str, str]]
    charts: list[Chart]
    by_class: Grid


def calibration_section(calibration: Calibration | None, class_names: Sequence[str]) -> CalibrationSection | None:
    """Return the section, or None where there is no calibration."""
    if calibration is None:
        return None
    numbers = {
        "ECE": (f"{calibration.before.error:.3f}", "mean distance of score and precision"),
        "ECE with temperature": (f"{calibration.after.error:.3f}", "on images that it was not fitted on"),
        "Temperature": (f"{calibration.temperature:.2f}", "the logits of the scores divided by it"),
    }
    rows = [
        Row(name, [metric(float(error), bar=False)], color=hex_color(class_color(label)))
        for label, (name, error) in enumerate(zip(class_names, calibration.error_by_class, strict=True))
    ]
    charts = [_reliability(calibration), _counts(calibration.before)]
    return CalibrationSection(advice(calibration), numbers, charts, Grid("ECE by class", "Class", ("ECE",), rows))


def advice(calibration: Calibration) -> str:
    """Return what to do about the scores."""
    before, after, temperature = calibration.before, calibration.after, calibration.temperature
    if before.error < _BELIEVABLE:
        return "Scores can be read as probabilities as they are: of detections scored 0.8, about eight of ten are right."
    promise = "too much" if before.overconfidence > 0 else "too little"
    found = f"Scores are off by {before.error:.2f} in the mean, and on the whole promise {promise}."
    at_end = not TEMPERATURES[0] * 1.01 < temperature < TEMPERATURES[1] / 1.01
    if at_end or after.error > _WORTHWHILE * before.error:
        return f"{found} No single temperature mends that: choose thresholds by what they lead to, not by what a score says."
    direction = "towards" if temperature > 1 else "away from"
    return (
        f"{found} Where they are read as probabilities, divide their logits by {temperature:.2f}, which draws them {direction} "
        f"0.5: that brings the error to {after.error:.3f} and changes neither the order of the detections nor AP."
    )


def _reliability(calibration: Calibration) -> Chart:
    curves = {"as they are": calibration.before, "with the temperature": calibration.after}
    series = [Series("ideal", [0.0, 1.0], [0.0, 1.0], _COLORS["ideal"], is_dashed=True)]
    legend = [("ideal", _COLORS["ideal"], "")]
    for name, curve in curves.items():
        used = curve.counts > 0
        series.append(Series(name, curve.confidence[used].tolist(), curve.precision[used].tolist(), _COLORS[name]))
        legend.append((name, _COLORS[name], f"ECE {curve.error:.3f}"))
    unit = (0.0, 1.0)
    return Chart("Reliability", line_chart(series, "mean score", "share of right ones", unit, unit, (440, 300)), legend)


def _counts(curve: ReliabilityCurve) -> Chart:
    """Return how many detections there are of each score, on a logarithmic axis: low scores are most of them."""
    exponents = [math.log10(1 + number) for number in curve.counts.tolist()]
    titles = [
        f"{number:,} from {low:.2f} to {high:.2f}"
        for number, low, high in zip(curve.counts.tolist(), curve.edges[:-1], curve.edges[1:], strict=True)
    ]
    highest = math.ceil(max(exponents, default=0.0)) or 1
    ticks = {float(np.log10(1 + 10**power)): tick_label(10**power) for power in range(highest + 1)}
    svg = column_chart(curve.edges.tolist(), exponents, titles, "score", "detections", ticks, (440, 300))
    return Chart("Detections by score", svg, [])
