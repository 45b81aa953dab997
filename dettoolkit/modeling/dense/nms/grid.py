"""A grid over an image: which of many boxes may overlap one, without asking all of them."""

from __future__ import annotations

from itertools import product

import numpy as np

_IN_A_CELL = 8  # boxes, where they are spread evenly
_MOST_CELLS = 64  # along a side: a box of the whole image stands in all cells


class Grid:
    """Numbered boxes by the cells that they touch. Boxes that overlap have a cell in common, whatever the rounding.

    Args:
        boxes: ``[D, 4]`` xyxy float64, that make up the grid; it is empty at first.
    """

    def __init__(self, boxes: np.ndarray) -> None:
        side = int(np.clip(np.sqrt(len(boxes) / _IN_A_CELL), 1, _MOST_CELLS))
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        step = np.maximum((high - low) / side, np.finfo(np.float64).tiny)
        self._last = side - 1
        self._low, self._step = np.tile(low, 2), np.tile(step, 2)
        self._cells: dict[tuple[int, int], set[int]] = {}
        self._places: dict[int, tuple[int, int, int, int]] = {}

    @property
    def num_cells(self) -> int:
        """How many cells there are."""
        return (self._last + 1) ** 2

    def put(self, number: int, box: np.ndarray) -> None:
        """Enter a box; one that was entered before, and has moved, stays in its old cells too."""
        place = self._place(box)
        if self._places.get(number) != place:
            self._places[number] = place
            for cell in self._of(place):
                self._cells.setdefault(cell, set()).add(number)

    def near(self, box: np.ndarray) -> np.ndarray:
        """Return the numbers, ascending int64, of all boxes that may overlap ``box`` ``[4]``."""
        found: set[int] = set()
        for cell in self._of(self._place(box)):
            found |= self._cells.get(cell, set())
        return np.array(sorted(found), dtype=np.int64)

    def _place(self, box: np.ndarray) -> tuple[int, int, int, int]:
        left, top, right, bottom = np.clip((box - self._low) / self._step, 0, self._last).astype(np.int64).tolist()
        return left, top, right, bottom

    @staticmethod
    def _of(place: tuple[int, int, int, int]) -> product[tuple[int, int]]:
        left, top, right, bottom = place
        return product(range(left, right + 1), range(top, bottom + 1))
