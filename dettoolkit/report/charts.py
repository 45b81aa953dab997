"""The charts of a report: training curves from ``metrics.jsonl``, and precision against recall."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dettoolkit.evaluation.curves import PrecisionRecall
from dettoolkit.report.tables import finite
from dettoolkit.visualization.palette import class_color, hex_color
from dettoolkit.visualization.plots import Series, line_chart

_ACCURACY = {"AP", "AP50", "AP75"}


@dataclass(frozen=True)
class Chart:
    """A chart with its legend.

    Args:
        title: over the chart.
        svg: the chart.
        legend: (name, colour, last or whole value as text) of each line.
    """

    title: str
    svg: str
    legend: list[tuple[str, str, str]]


def training_charts(history: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Return charts of losses, accuracy and learning rate; those without numbers, or of a single evaluation, are left out."""
    keys = list(dict.fromkeys(key for line in history for key in line if key != "iteration"))
    of_accuracy = {} if evaluated_once(history) else _picked(keys, _ACCURACY.__contains__)
    charts = [
        history_chart("Loss", "loss", _picked(keys, lambda last: last.startswith("loss")), history),
        history_chart("Accuracy on the test set", "AP", of_accuracy, history),
        history_chart("Learning rate", "learning rate", _picked(keys, "lr".__eq__), history),
    ]
    return [chart for chart in charts if chart is not None]


def evaluated_once(history: Sequence[Mapping[str, Any]]) -> bool:
    """Whether accuracy was measured at one iteration only: three lone dots are no curve, and a table has the numbers."""
    return len({line.get("iteration") for line in history if _picked(list(line), _ACCURACY.__contains__)}) == 1


def precision_recall_chart(curves: Mapping[str, PrecisionRecall], class_names: Sequence[str]) -> Chart | None:
    """Return precision against recall with a line for each class in its colour, or None without curves."""
    labels = {name: label for label, name in enumerate(class_names)}
    series, legend = [], []
    for index, (name, curve) in enumerate(curves.items()):
        color = hex_color(class_color(labels.get(name, index)))
        reached = curve.precision > 0  # a recall that is not reached has no precision
        series.append(Series(name, curve.recall[reached].tolist(), curve.precision[reached].tolist(), color))
        legend.append((name, color, _best_threshold(curve)))
    if not series:
        return None
    return Chart(
        "Precision and recall at IoU 0.5", line_chart(series, "recall", "precision", (0, 1), (0, 1), (440, 320)), legend
    )


def _best_threshold(curve: PrecisionRecall) -> str:
    """Return the highest F1 on the curve and the score threshold that reaches it, as text."""
    f1 = 2 * curve.precision * curve.recall / np.maximum(curve.precision + curve.recall, 1e-12)
    best = int(f1.argmax())
    return f"F1 {f1[best]:.2f} at score {curve.score[best]:.2f}" if f1[best] > 0 else "nothing found"


def history_chart(title: str, y_label: str, keys: Mapping[str, str], history: Sequence[Mapping[str, Any]]) -> Chart | None:
    """Return a chart of some keys of ``metrics.jsonl`` over the iterations, or None where they have no numbers.

    Args:
        title: over the chart.
        y_label: over the vertical axis.
        keys: key -> its name in the legend.
        history: the lines of the file.
    """
    series = [_series(key, name, index, history) for index, (key, name) in enumerate(keys.items())]
    series = [line for line in series if line.x]
    if not series:
        return None
    legend = [(line.name, line.color, next((f"{y:.4g}" for y in reversed(line.y) if y is not None), "n/a")) for line in series]
    return Chart(title, line_chart(series, "iteration", y_label), legend)


def _series(key: str, name: str, index: int, history: Sequence[Mapping[str, Any]]) -> Series:
    """Return the line of one key; a number that is not finite breaks it."""
    points = [(float(line["iteration"]), finite(line[key])) for line in history if key in line and "iteration" in line]
    points.sort(key=lambda point: point[0])  # a resumed run repeats some iterations
    return Series(name, [x for x, _ in points], [y for _, y in points], hex_color(class_color(index)))


def _picked(keys: Sequence[str], wanted: Callable[[str], bool]) -> dict[str, str]:
    """Return the keys whose last part is wanted; each is its own name."""
    return {key: key for key in keys if wanted(key.rpartition("/")[2])}
