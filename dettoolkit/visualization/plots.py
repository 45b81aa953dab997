"""Charts as inline SVG: they scale, take the colours of the page around them, and need no plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_MARGIN_LEFT, _MARGIN_RIGHT, _MARGIN_TOP, _MARGIN_BOTTOM = 60, 12, 12, 38
_MAX_POINTS = 400  # more than the chart has pixels to tell apart


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Args:
        name: as the legend shows it.
        x: P numbers, ascending.
        y: P numbers; None or a number that is not finite breaks the line.
        color: any CSS colour.
        marks: (x, y) of points to be told from the line, such as a choice that was made on it.
        is_dashed: whether the line is one to compare others with.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    color: str
    marks: Sequence[tuple[float, float]] = ()
    is_dashed: bool = False

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"series {self.name!r}: {len(self.x)} x values and {len(self.y)} y values")


def line_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    size: tuple[int, int] = (440, 260),
) -> str:
    """Return an ``<svg>`` element with axes, grid and lines; the legend is the caller's, from the same series.

    More than 400 points are averaged in groups. Text and grid have the colour of the text around the chart.

    Args:
        series: the lines.
        x_label: under the horizontal axis.
        y_label: over the vertical axis, and in the description for those who do not see the chart.
        x_range: (lowest, highest); None: that of the data.
        y_range: likewise; None: that of the data, and 0 if that is near.
        size: (width, height) in the units of the view box.
    """
    points = [points_to_draw(line) for line in series]
    seen = [point for line in points for point in line if point is not None]
    axis = Axes(
        x_range or _span([x for x, _ in seen], with_zero=False), y_range or _span([y for _, y in seen], with_zero=True), size
    )
    lines = [_path(line, points_of_line, axis) for line, points_of_line in zip(series, points, strict=True)]
    description = escape(f"{y_label} by {x_label}: {', '.join(line.name for line in series)}")
    return (
        f'<svg class="chart" viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{description}" '
        f'font-family="inherit" font-size="12">{axis.svg(x_label, y_label)}{"".join(lines)}</svg>'
    )


def ticks(lowest: float, highest: float, count: int = 5) -> list[float]:
    """Return about ``count`` round numbers in [lowest, highest], at steps of 1, 2 or 5 times a power of ten."""
    rough = (highest - lowest) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if rough <= factor * power * (1 + 1e-9))
    first = math.ceil(lowest / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(highest / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Axes:
    """The frame of a chart: from numbers to places in the view box.

    Args:
        x_range: (lowest, highest) number of the horizontal axis.
        y_range: likewise of the vertical one.
        size: (width, height) of the view box.
        y_ticks: number -> label of the vertical axis; None: round numbers.
    """

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    size: tuple[int, int]
    y_ticks: Mapping[float, str] | None = None

    def x(self, value: float) -> float:
        """Return how far right a number stands."""
        lowest, highest = self.x_range
        return _MARGIN_LEFT + (value - lowest) / (highest - lowest) * (self.size[0] - _MARGIN_LEFT - _MARGIN_RIGHT)

    def y(self, value: float) -> float:
        """Return how far down a number stands."""
        lowest, highest = self.y_range
        return (
            self.size[1]
            - _MARGIN_BOTTOM
            - (value - lowest) / (highest - lowest) * (self.size[1] - _MARGIN_TOP - _MARGIN_BOTTOM)
        )

    def svg(self, x_label: str, y_label: str) -> str:
        """Return grid, tick labels and axis labels."""
        left, right = self.x(self.x_range[0]), self.x(self.x_range[1])
        bottom = self.y(self.y_range[0])
        parts = []
        labels = self.y_ticks if self.y_ticks is not None else {tick: tick_label(tick) for tick in ticks(*self.y_range)}
        for tick, label in labels.items():
            y = self.y(tick)
            parts.append(f'<path d="M{left:.1f} {y:.1f}H{right:.1f}" stroke="currentColor" stroke-opacity=".13"/>')
            parts.append(f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>')
        parts += [
            f'<text x="{self.x(tick):.1f}" y="{bottom + 17:.1f}" text-anchor="middle">{tick_label(tick)}</text>'
            for tick in ticks(*self.x_range)
        ]
        middle = (_MARGIN_TOP + bottom) / 2
        parts += [
            f'<path d="M{left:.1f} {bottom:.1f}H{right:.1f}" stroke="currentColor" stroke-opacity=".5"/>',
            f'<text x="{right:.1f}" y="{bottom + 34:.1f}" text-anchor="end">{escape(x_label)}</text>',
            f'<text transform="translate(12 {middle:.1f}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>',
        ]
        return f'<g fill="currentColor" fill-opacity=".75">{"".join(parts)}</g>'


def points_to_draw(series: Series) -> list[tuple[float, float] | None]:
    """Return the points of a line, averaged in groups where there are too many; None where the line breaks."""
    points = [
        (float(x), float(y)) if y is not None and math.isfinite(y) else None for x, y in zip(series.x, series.y, strict=True)
    ]
    group = -(-len(points) // _MAX_POINTS)
    if group <= 1:
        return points
    averaged: list[tuple[float, float] | None] = []
    for start in range(0, len(points), group):
        known = [point for point in points[start : start + group] if point is not None]
        averaged.append((sum(x for x, _ in known) / len(known), sum(y for _, y in known) / len(known)) if known else None)
    return averaged


def _span(values: Sequence[float], with_zero: bool) -> tuple[float, float]:
    """Return a range of more than zero length that holds the values."""
    if not values:
        return 0.0, 1.0
    lowest, highest = min(values), max(values)
    if with_zero and 0 < lowest < 0.5 * highest:
        lowest = 0.0
    if highest - lowest <= 1e-9 * max(1.0, abs(highest)):
        margin = 0.5 * abs(highest) or 0.5
        return lowest - margin, highest + margin
    return lowest, highest + (0.04 * (highest - lowest) if with_zero else 0.0)


def _path(series: Series, points: Sequence[tuple[float, float] | None], axes: Axes) -> str:
    """Return the line, and a dot where a point has no neighbour to be joined to."""
    steps, dots, pen_down = [], [], False
    for index, point in enumerate(points):
        if point is None:
            pen_down = False
            continue
        x, y = axes.x(point[0]), axes.y(point[1])
        steps.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}")
        if not pen_down and (index + 1 == len(points) or points[index + 1] is None):
            dots.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{escape(series.color)}"/>')
        pen_down = True
    color, dashes = escape(series.color), ' stroke-dasharray="5 4"' if series.is_dashed else ""
    return (
        f'<g data-series="{escape(series.name)}"><title>{escape(series.name)}</title>'
        f'<path d="{"".join(steps)}" fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round"{dashes}/>'
        f"{''.join(dots)}{_marks(series, axes)}</g>"
    )


def _marks(series: Series, axes: Axes) -> str:
    """Return a dot with a rim in the colour of the text for each mark, so that it is seen on a line of its own colour."""
    return "".join(
        f'<circle class="mark" cx="{axes.x(x):.1f}" cy="{axes.y(y):.1f}" r="4.5" fill="{escape(series.color)}" '
        'stroke="currentColor" stroke-width="1.5"/>'
        for x, y in series.marks
    )


def tick_label(value: float) -> str:
    """Return a tick's label: 2000000 as 2M, 20000 as 20k, 0.0002 as 2e-4."""
    if abs(value) >= 1_000_000 and value % 10_000 == 0:
        return f"{value / 1_000_000:g}M"
    if abs(value) >= 10_000 and value % 100 == 0:
        return f"{value / 1000:g}k"
    if 0 < abs(value) < 0.001:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:g}"
