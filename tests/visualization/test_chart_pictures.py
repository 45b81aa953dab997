"""Line charts as pictures."""

from __future__ import annotations

import importlib

import numpy as np

from dettoolkit.visualization.chart_pictures import chart_picture
from dettoolkit.visualization.plots import Series

RED, BLUE = (255, 0, 0), (0, 0, 255)


def _of_color(picture: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """``[H, W]``: where a picture has exactly this colour."""
    return (picture == color).all(axis=2)


def test_a_line_lies_where_the_numbers_are() -> None:
    picture = chart_picture([Series("a", [0, 1], [0.5, 0.5], "#ff0000")], "t", "x", "y", size=(440, 320), scale=1)
    rows, columns = np.nonzero(_of_color(picture, RED)[:-30])  # without the legend
    # 320 units with margins 12 above and 38 below: the middle is at 147; the frame is from 60 to 428
    top = picture.shape[0] - 320 - 18  # title and label above, one line of the legend below
    assert abs(rows.mean() - top - 147) <= 1
    assert (columns.min(), columns.max()) == (60, 428) or (abs(columns.min() - 60) <= 2 and abs(columns.max() - 428) <= 2)


def test_size_scale_and_legend() -> None:
    lines = [Series("a", [0, 1], [0, 1], "#ff0000"), Series("b", [0, 1], [1, 0], "#0000ff")]
    small, large = (chart_picture(lines, "title", "x", "y", scale=scale) for scale in (1, 2))
    assert small.dtype == np.uint8
    assert large.shape[1] == 2 * small.shape[1] == 880
    one = chart_picture(lines[:1], "title", "x", "y", scale=2)
    assert large.shape[0] > one.shape[0]  # a line of the legend each
    assert _of_color(large, RED).any()
    assert _of_color(large, BLUE).any()
    assert not _of_color(one, BLUE).any()
    assert (large[:3] == 255).all()  # white ground


def test_a_power_law_is_a_straight_line_on_logarithmic_axes() -> None:
    line = Series("x^2", [1, 10, 100], [1, 100, 10_000], "#ff0000")
    picture = chart_picture([line], "t", "x", "y", (1, 100), (1, 10_000), (440, 320), 1, logarithmic=True)
    chart = picture[36 - 1 : 36 + 320]  # below title and label, two lines of 18 px
    rows, columns = np.nonzero(_of_color(chart, RED))
    # the middle of the frame, 60..428 by 12..282, is where the middle point's dot is: 4 px around (244, 147)
    middle = rows[np.abs(columns - 244) <= 1]
    assert abs(middle.mean() - 147) <= 1.5
    assert middle.max() - middle.min() >= 6


def test_logarithmic_axes_are_labelled_with_the_numbers_themselves() -> None:
    ticks = importlib.import_module("dettoolkit.visualization.chart_pictures")._logarithmic_ticks
    assert [label for _, label in ticks(0.0, 2.0)] == ["1", "2", "5", "10", "20", "50", "100"]
    assert [label for _, label in ticks(-1.0, 6.0)] == ["0.1", "1", "10", "100", "1000", "10k", "100k", "1M"]
    assert [round(place, 4) for place, _ in ticks(0.0, 1.0)] == [0.0, 0.301, 0.699, 1.0]  # decimal logarithms of 1, 2, 5, 10
