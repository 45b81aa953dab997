"""The picture of a curve: time at the left, memory at the right, both on logarithmic axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.growth.curves import Curve
from benchmarks.growth.fitting import PowerLaw
from benchmarks.growth.measured import LEAST_MIB, Part
from dettoolkit.visualization.chart_pictures import chart_picture
from dettoolkit.visualization.plots import Series

COLORS = ("#2b5fd9", "#d9482b", "#2f9e44", "#7b3fb5", "#d9a514", "#0f8b8d")
_SIZE = (560, 340)


def curve_picture(curve: Curve, parts: Sequence[Part]) -> np.ndarray:
    """Return the picture, ``[H, W, 3]`` uint8 RGB; the legend has the exponents."""
    colored = list(zip(parts, COLORS, strict=False))
    times = [_line(part, part.milliseconds, part.time_law, color, 0.0, "ms") for part, color in colored]
    memory = [_line(part, part.mebibytes, part.memory_law, color, LEAST_MIB, "MiB") for part, color in colored]
    values = [value for part in parts for value in part.values]
    x_range = (min(values) / 1.1, max(values) * 1.1)
    panels = [
        _panel(times, f"{curve.title}: time", curve.x_label, "milliseconds", x_range),
        _panel(memory, "Memory beyond what was held before", curve.x_label, "MiB", x_range),
    ]
    height = max(map(len, panels))
    white = [np.full((height - len(panel), *panel.shape[1:]), 255, np.uint8) for panel in panels]
    return np.concatenate([np.concatenate(pair) for pair in zip(panels, white, strict=True)], axis=1)


def _line(
    part: Part, numbers: Sequence[float | None], law: PowerLaw | None, color: str, least: float, unit: str
) -> Series | None:
    """Return a line with its exponent in the legend, without the numbers below ``least``; None where nothing was measured."""
    if all(number is None for number in numbers):
        return None
    kept = [number if number is not None and number >= least else None for number in numbers]
    name = part.name
    if not any(kept):
        name = f"{name}: below {least:g} {unit}"
    elif law is not None:
        name = f"{name}: exponent {law.exponent:.2f} from {law.lowest:,} to {law.highest:,}"
    return Series(name, part.values, kept, color)


def _panel(lines: Sequence[Series | None], title: str, x_label: str, y_label: str, x_range: tuple[float, float]) -> np.ndarray:
    series = [line for line in lines if line is not None]
    seen = [number for line in series for number in line.y if number is not None] or [1.0]
    y_range = (min(seen) / 1.3, max(seen) * 1.3)
    return chart_picture(series, title, x_label, y_label, x_range, y_range, _SIZE, logarithmic=True)
