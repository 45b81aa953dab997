"""Charts of columns as inline SVG, in the look of the line charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from dettoolkit.visualization.plots import Axes


def column_chart(
    edges: Sequence[float],
    heights: Sequence[float],
    titles: Sequence[str],
    x_label: str,
    y_label: str,
    y_ticks: Mapping[float, str],
    size: tuple[int, int] = (440, 260),
) -> str:
    """Return an ``<svg>`` element with a column from each edge to the next, all in the colour of the text around it.

    Args:
        edges: ``[B + 1]`` ascending numbers.
        heights: ``[B]`` numbers from 0 on.
        titles: ``[B]`` what each column says to those who point at it.
        x_label: under the horizontal axis.
        y_label: over the vertical axis.
        y_ticks: height -> its label, for axes that are not even; the highest one is the top of the chart.
        size: (width, height) in the units of the view box.
    """
    axes = Axes((edges[0], edges[-1]), (0.0, max(y_ticks)), size, dict(y_ticks))
    bottom = axes.y(0.0)
    columns = [
        f'<path d="M{axes.x(low) + 1:.1f} {bottom:.1f}V{axes.y(height):.1f}H{axes.x(high) - 1:.1f}V{bottom:.1f}Z" '
        f'fill="currentColor" fill-opacity=".45"><title>{escape(title)}</title></path>'
        for low, high, height, title in zip(edges[:-1], edges[1:], heights, titles, strict=True)
        if height > 0
    ]
    description = escape(f"{y_label} by {x_label}")
    return (
        f'<svg class="chart" viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="{description}" '
        f'font-family="inherit" font-size="12">{axes.svg(x_label, y_label)}{"".join(columns)}</svg>'
    )
