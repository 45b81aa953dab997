"""Line charts as pictures."""

from __future__ import annotations

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
    # 320 units with margins 12 above and 38 below: the middle is at 147; the frame is from 50 to 428
    top = picture.shape[0] - 320 - 18  # title and label above, one line of the legend below
    assert abs(rows.mean() - top - 147) <= 1
    assert (columns.min(), columns.max()) == (50, 428) or (abs(columns.min() - 50) <= 2 and abs(columns.max() - 428) <= 2)


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
