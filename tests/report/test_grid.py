"""Cells of tables."""

from __future__ import annotations

import math
import re

import pytest

from dettoolkit.report.grid import Cell, count, metric


def test_a_number_is_shown_short_and_sorted_by_in_full() -> None:
    assert metric(0.123456) == Cell("0.123", 0.123456, 0.123456)
    assert metric(0.5, bar=False).share is None
    assert count(1234567) == Cell("1,234,567", 1234567)


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_missing_has_nothing_to_sort_by(value: float | None) -> None:
    assert metric(value) == Cell("n/a", None)


@pytest.mark.parametrize(("low", "high"), [(0.25, 0.75), (0.0, 0.1), (0.9, 1.0), (0.4, 0.4), (0.0, 1.0)])
def test_the_line_of_an_interval_begins_and_ends_at_its_ends(low: float, high: float) -> None:
    style = Cell("", 0.5, 0.5, (low, high)).style
    place, length = (float(re.findall(rf"{name}:([\d.]+)%", style)[0]) / 100 for name in ("--place", "--length"))
    # CSS: a background of a length stands at place times what the length leaves free
    assert place * (1 - length) == pytest.approx(low, abs=2e-3)
    assert place * (1 - length) + length == pytest.approx(high, abs=2e-3)
