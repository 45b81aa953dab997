"""Charts of columns as SVG."""

from __future__ import annotations

import re

from dettoolkit.visualization.column_chart import column_chart


def test_columns_reach_from_edge_to_edge_as_high_as_their_numbers() -> None:
    svg = column_chart([0, 0.5, 1], [2, 0], ["<two>", "none"], "x", "y", {0: "0", 4: "four"})
    # half as high as the highest tick: 222 - 105; a unit of space on both sides
    assert re.findall(r'<path d="(M61[^"]*)"', svg) == ["M61.0 222.0V117.0H243.0V222.0Z"]
    assert "&lt;two&gt;" in svg
    assert svg.count("<title>") == 1  # what has no height is not drawn
    assert ">four</text>" in svg
