"""Charts as SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from dettoolkit.visualization.plots import Series, line_chart, tick_label, ticks


def _moves(svg: str) -> list[str]:
    """The paths of the lines, in the order of the series."""
    return [group.findall("path")[0].get("d", "") for group in ET.fromstring(svg).iter("g") if group.get("data-series")]


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 90_000, [0, 20_000, 40_000, 60_000, 80_000]),
        (0.13, 0.42, [0.2, 0.3, 0.4]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round_numbers_in_the_range(lowest: float, highest: float, expected: list[float]) -> None:
    assert ticks(lowest, highest) == pytest.approx(expected)


def test_a_line_goes_from_corner_to_corner_of_its_frame() -> None:
    # 440 x 260 with margins 60, 12, 12 and 38: the frame is x 60..428, y 222..12
    svg = line_chart([Series("a", [0, 1], [0, 1], "red")], "x", "y", (0, 1), (0, 1))
    assert _moves(svg) == ["M60.0 222.0L428.0 12.0"]


def test_a_number_that_is_not_finite_breaks_the_line_and_a_lone_point_is_a_dot() -> None:
    svg = line_chart([Series("a", [0, 1, 2, 3], [1, 1, float("nan"), 1], "red")], "x", "y")
    assert re.fullmatch(r"M\S+ \S+L\S+ \S+M\S+ \S+", _moves(svg)[0])
    assert svg.count("<circle") == 1
    assert "nan" not in svg


def test_thousands_of_points_become_at_most_four_hundred_and_keep_their_mean() -> None:
    svg = line_chart([Series("a", range(10_000), [0, 1] * 5_000, "red")], "x", "y", y_range=(0, 1))
    steps = re.findall(r"[ML](\S+) ([\d.]+)", _moves(svg)[0])
    assert 200 < len(steps) <= 400
    assert {float(y) for _, y in steps} <= {222 - 210 * 12 / 25, 222 - 210 * 13 / 25}  # groups of 25 hold 12 or 13 ones
    assert len(steps) == 400


@pytest.mark.parametrize("y", [[], [None, None], [3.0, 3.0], [0.0, 0.0], [-2.0]])
def test_no_points_one_point_and_a_constant_give_a_chart(y: list[float | None]) -> None:
    svg = line_chart([Series("a", list(range(len(y))), y, "red")], "x", "y")
    assert ET.fromstring(svg).tag == "svg"


def test_names_are_escaped() -> None:
    svg = line_chart([Series('<b>"&', [0, 1], [0, 1], "red")], "<x>", "y")
    assert "<b>" not in svg
    assert "<x>" not in svg
    ET.fromstring(svg)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="series 'a': 2 x values and 1 y values"):
        Series("a", [0, 1], [0], "red")


@pytest.mark.parametrize(
    ("value", "label"), [(0, "0"), (1500, "1500"), (20_000, "20k"), (1_000_000, "1M"), (2_500_000, "2.5M"), (0.0002, "2e-4")]
)
def test_ticks_have_short_labels(value: float, label: str) -> None:
    assert tick_label(value) == label


def test_marks_stand_where_their_numbers_are_and_a_line_to_compare_with_is_dashed() -> None:
    svg = line_chart([Series("a", [0, 1], [0, 1], "#123456", marks=[(0.5, 0.25)], is_dashed=True)], "x", "y", (0, 1), (0, 1))
    # the frame is x 60..428, y 222..12: 60 + 184, 222 - 52.5
    assert '<circle class="mark" cx="244.0" cy="169.5"' in svg
    assert "stroke-dasharray" in svg
    assert "stroke-dasharray" not in line_chart([Series("a", [0, 1], [0, 1], "#123456")], "x", "y")
