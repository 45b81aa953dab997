"""Line charts as pictures, for where SVG cannot be shown: slides, papers, TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dettoolkit.visualization.lettering import Lettering
from dettoolkit.visualization.palette import Color
from dettoolkit.visualization.plots import Axes, Series, points_to_draw, tick_label, ticks

_TEXT, _GRID, _FRAME = (60, 60, 66), (228, 228, 230), (150, 150, 155)
_SUBPIXELS = 4  # OpenCV takes whole numbers, of which the last bits may be fractions of a pixel
_MAX_LOG_TICKS = 8  # more labels of numbers would touch each other


def chart_picture(
    series: Sequence[Series],
    title: str,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] = (0, 1),
    y_range: tuple[float, float] = (0, 1),
    size: tuple[int, int] = (440, 320),
    scale: int = 2,
    logarithmic: bool = False,
) -> np.ndarray:
    """Return a chart with its legend on white, ``[H, W, 3]`` uint8 RGB; colours of series are ``#rrggbb``.

    Args:
        series: the lines, named in the legend; gaps are drawn over.
        title: over the chart.
        x_label: under the horizontal axis.
        y_label: over the vertical axis.
        x_range: (lowest, highest).
        y_range: likewise.
        size: (width, height) of the chart without title and legend, as for ``line_chart``.
        scale: pixels for each unit of ``size``.
        logarithmic: both axes are, and each point has a dot: a power law is a straight line whose slope is the exponent.
            Numbers and ranges must be above 0.
    """
    to_axis = math.log10 if logarithmic else float
    letters = Lettering(13 * scale)
    above, below = 2 * letters.line_height, letters.line_height * len(series)
    picture = np.full((size[1] * scale + above + below, size[0] * scale, 3), 255, np.uint8)
    (left, right), (low, high) = ([to_axis(end) for end in ends] for ends in (x_range, y_range))
    axes = Axes((left, right), (low, high), size)
    letters.write(picture, title, 4 * scale, 0, _TEXT)
    letters.write(picture, y_label, 4 * scale, letters.line_height, _TEXT)
    chart = picture[above : above + size[1] * scale]
    _draw_axes(chart, axes, x_label, letters, scale, logarithmic)
    for index, line in enumerate(series):
        points = [point for point in points_to_draw(line) if point]
        places = [(axes.x(to_axis(x)), axes.y(to_axis(y))) for x, y in points]
        _draw_line(chart, places, scale, _rgb(line.color), 2 * scale)
        if logarithmic:
            _draw_dots(chart, places, scale, _rgb(line.color))
        top = above + size[1] * scale + index * letters.line_height
        middle = (top + letters.line_height / 2) / scale
        _draw_line(picture, [(50, middle), (74, middle)], scale, _rgb(line.color), 3 * scale)
        letters.write(picture, line.name, 78 * scale, top, _TEXT)
    return picture


def _draw_axes(chart: np.ndarray, axes: Axes, x_label: str, letters: Lettering, scale: int, logarithmic: bool) -> None:
    left, right = axes.x(axes.x_range[0]), axes.x(axes.x_range[1])
    bottom = axes.y(axes.y_range[0])
    labelled = _logarithmic_ticks if logarithmic else _linear_ticks
    for tick, label in labelled(*axes.y_range):
        y = axes.y(tick)
        _draw_line(chart, [(left, y), (right, y)], scale, _GRID, scale)
        letters.write(chart, label, round((left - 4) * scale) - letters.width(label), _above(y, letters, scale), _TEXT)
    for tick, label in labelled(*axes.x_range):
        start = round(axes.x(tick) * scale - letters.width(label) / 2)
        start = min(start, chart.shape[1] - letters.width(label))  # the last one must not be cut off
        letters.write(chart, label, start, round((bottom + 3) * scale), _TEXT)
    _draw_line(chart, [(left, bottom), (right, bottom)], scale, _FRAME, scale)
    letters.write(
        chart, x_label, round(right * scale) - letters.width(x_label), round((bottom + 3) * scale) + letters.line_height, _TEXT
    )


def _linear_ticks(lowest: float, highest: float) -> list[tuple[float, str]]:
    return [(tick, tick_label(tick)) for tick in ticks(lowest, highest)]


def _logarithmic_ticks(lowest: float, highest: float) -> list[tuple[float, str]]:
    """Return (place on the axis, label) of 1, 2 and 5 times the powers of ten, or of these alone where there are many.

    Args:
        lowest: decimal logarithm of the axis's beginning.
        highest: of its end.
    """
    powers = [10.0**power for power in range(math.floor(lowest), math.ceil(highest) + 1)]
    for factors in ((1, 2, 5), (1,)):
        numbers = [factor * power for power in powers for factor in factors]
        found = [(math.log10(number), tick_label(round(number, 12))) for number in numbers]
        found = [(place, label) for place, label in found if lowest - 1e-9 <= place <= highest + 1e-9]
        if len(found) <= _MAX_LOG_TICKS:
            break
    return found


def _above(y: float, letters: Lettering, scale: int) -> int:
    """Return the top of a label whose middle is at ``y``."""
    return round(y * scale - letters.line_height / 2)


def _draw_line(picture: np.ndarray, places: Sequence[tuple[float, float]], scale: int, color: Color, width: int) -> None:
    import cv2

    corners = np.round(np.array(places) * scale * 2**_SUBPIXELS).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(picture, [corners], False, color, width, cv2.LINE_AA, _SUBPIXELS)


def _draw_dots(picture: np.ndarray, places: Sequence[tuple[float, float]], scale: int, color: Color) -> None:
    import cv2

    for x, y in places:
        center = (round(x * scale * 2**_SUBPIXELS), round(y * scale * 2**_SUBPIXELS))
        cv2.circle(picture, center, 4 * scale * 2**_SUBPIXELS, color, cv2.FILLED, cv2.LINE_AA, _SUBPIXELS)


def _rgb(color: str) -> Color:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue
