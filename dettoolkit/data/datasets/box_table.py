"""BoxTable: the boxes of a table with one row a box, gathered by image."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dettoolkit.data.datasets.entries import Box, Entry
from dettoolkit.data.datasets.faults import Faults

Corners = tuple[float, float, float, float]


class BoxTable:
    """Boxes in columns of numbers: 45 bytes each and no Python object, in whatever order their rows come.

    Args:
        path: of the table, for messages.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number_of: dict[str, int] = {}  # image -> its number, in the order of their first rows
        self._first_line = array("i")
        self._empty: dict[int, int] = {}  # image number -> the line that says that it shows nothing
        self._image, self._label, self._line = array("i"), array("i"), array("i")
        self._ignore, self._corners = array("b"), array("d")

    def add_image(self, image: str, line: int) -> int:
        """Add an image, whether or not a box of it comes; return its number."""
        number = self._number_of.setdefault(image, len(self._number_of))
        if number == len(self._first_line):
            self._first_line.append(line)
        return number

    def add(self, image: str, corners: Corners, label: int, line: int, ignore: bool = False) -> None:
        """Add a box of an image; ``label`` may be any number, see :meth:`entries`."""
        self._image.append(self.add_image(image, line))
        self._label.append(label)
        self._line.append(line)
        self._ignore.append(ignore)
        self._corners.extend(corners)

    def add_empty(self, image: str, line: int) -> None:
        """Add an image that is said to show no object."""
        self._empty.setdefault(self.add_image(image, line), line)

    def entries(self, label_of: Sequence[int], faults: Faults, suffix: str = "", in_shares: bool = False) -> Iterator[Entry]:
        """Yield the images in the order of their first rows, each with its boxes in the order of theirs.

        Args:
            label_of: 0..K-1 by the labels that boxes were added with.
            faults: told of rows that stand twice (of which one stays), and of images said to be empty that have boxes.
            suffix: what file names have behind the names of the images.
            in_shares: whether corners are shares of width and height.
        """
        images = np.frombuffer(self._image, np.int32)
        order = np.argsort(images, kind="stable")
        ends = np.cumsum(np.bincount(images, minlength=len(self._number_of))).tolist()
        start = 0
        for (image, number), end in zip(self._number_of.items(), ends, strict=True):
            entry = Entry(image, image + suffix, None, f"{self.path}:{self._first_line[number]}", in_shares=in_shares)
            entry.boxes = self._boxes(order[start:end].tolist(), label_of, faults)
            if entry.boxes and number in self._empty:
                where = f"{self.path}:{self._empty[number]}: {image} has no object here, and a box at {entry.boxes[0].place}"
                faults.add("images with boxes that a row says to be empty", where)
            yield entry
            start = end

    def _boxes(self, rows: Sequence[int], label_of: Sequence[int], faults: Faults) -> list[Box]:
        boxes: dict[tuple[Corners, int], Box] = {}
        for row in rows:
            x1, y1, x2, y2 = self._corners[4 * row : 4 * row + 4]
            label = label_of[self._label[row]]
            box = Box((x1, y1, x2, y2), label, f"{self.path}:{self._line[row]}", bool(self._ignore[row]))
            if boxes.setdefault((box.corners, label), box) is not box:
                faults.count("rows that say once more what another says")
        return list(boxes.values())
