"""Where labels stand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dettoolkit.visualization.label_placement import place_labels


def _boxes(*boxes: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(boxes, dtype=float).reshape(-1, 4)


def test_a_label_stands_on_the_top_left_corner_of_its_box() -> None:
    assert place_labels(_boxes((30, 40, 80, 90)), [(10, 25)], (100, 100)) == [(30, 30, 55, 40)]


def test_a_label_at_the_upper_border_moves_into_the_picture() -> None:
    assert place_labels(_boxes((30, 3, 80, 90)), [(10, 25)], (100, 100)) == [(30, 0, 55, 10)]


def test_the_second_of_two_equal_boxes_gets_another_place() -> None:
    first, second = place_labels(_boxes((30, 40, 80, 90), (30, 40, 80, 90)), [(10, 25)] * 2, (100, 100))
    assert first == (30, 30, 55, 40)
    assert second == (55, 30, 80, 40)  # above the right corner


def test_eight_labels_of_one_box_do_not_cover_each_other() -> None:
    places = place_labels(_boxes(*[(100, 100, 200, 200)] * 8), [(10, 40)] * 8, (300, 300))
    canvas = np.zeros((300, 300), int)
    for left, top, right, bottom in places:
        canvas[top:bottom, left:right] += 1
    assert canvas.max() == 1


def test_no_boxes_have_no_labels() -> None:
    assert place_labels(_boxes(), [], (10, 10)) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(20, 300), st.integers(20, 300), st.data())
def test_no_label_leaves_the_picture(height: int, width: int, data: st.DataObject) -> None:
    def corner(limit: int) -> st.SearchStrategy[list[float]]:
        return st.lists(st.floats(0, limit), min_size=2, max_size=2).map(sorted)

    boxes = [(x[0], y[0], x[1], y[1]) for x, y in data.draw(st.lists(st.tuples(corner(width), corner(height)), max_size=12))]
    sizes = [(data.draw(st.integers(1, height)), data.draw(st.integers(1, width))) for _ in boxes]
    for (left, top, right, bottom), size in zip(place_labels(_boxes(*boxes), sizes, (height, width)), sizes, strict=True):
        assert left >= 0
        assert top >= 0
        assert right <= width
        assert bottom <= height
        assert (bottom - top, right - left) == size
