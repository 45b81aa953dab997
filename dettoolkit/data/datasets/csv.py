"""CSVDataset: images and boxes from a table, one row a box."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from dettoolkit.data.datasets.box_table import BoxTable
from dettoolkit.data.datasets.csv_rows import columns_of, read_rows
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.datasets.entries import checked_records
from dettoolkit.data.datasets.faults import Faults
from dettoolkit.data.datasets.paths import existing_file, existing_folder
from dettoolkit.errors import DataError, did_you_mean, listed
from dettoolkit.registry import DATASETS
from dettoolkit.structures import DatasetInfo

# what a column holds -> the names that a header may give it, in any case; without a header the columns come in this order
COLUMNS = {
    "path": ("path", "filename", "file_name", "file", "image", "image_path", "img_path"),
    "x1": ("x1", "xmin", "x_min", "left"),
    "y1": ("y1", "ymin", "y_min", "top"),
    "x2": ("x2", "xmax", "x_max", "right"),
    "y2": ("y2", "ymax", "y_max", "bottom"),
    "class": ("class", "class_name", "label", "label_name", "category", "name"),
}


@DATASETS.register()
class CSVDataset(DetectionDataset):
    """Images and boxes from a table with one row a box: ``path,x1,y1,x2,y2,class``, as keras-retinanet has it.

    A row with nothing but a path is a picture without objects (``a.jpg,,,,,``). The rows of a picture need not stand together.
    The first row is taken for a header where its coordinates are no numbers; columns may then come in any order, with others
    between them, and names like ``filename`` and ``xmin`` are known. Rows that repeat another are left out and counted.

    Args:
        annotations: the csv file, in UTF-8, relative to ``DATASETS.ROOT``.
        images: the folder that paths are relative to, relative to ``DATASETS.ROOT``; null: that of the csv file. An absolute
            path must lead into it.
        classes: names of the classes to take, in the order of their labels; boxes of others are left out and counted. null:
            those of ``CLASSES_FILE``, or all that the rows name, sorted: give training and test sets the same ``CLASSES``
            then, unless both name all of them.
        classes_file: the file of all classes, relative to ``DATASETS.ROOT``: a name a line, in the order of their labels, or
            ``name,label`` a line. A box of a class that is not in it is broken.
        columns: the header's names of the columns with path, x1, y1, x2, y2 and class, in this order; null: the usual names.
        delimiter: the character between cells.
        units: what coordinates are in: ``pixels``, or ``shares`` of the width and height (0 to 1).
        name: the name in ``DATASETS.CATALOG``.
        root: ``DATASETS.ROOT``.
        on_bad: ``error`` or ``drop``, see ``DetectionDataset``.
        empty_images: ``keep`` or ``drop`` images without boxes.

    Raises:
        ValueError: both ``classes`` and ``classes_file`` are given, or ``delimiter`` is not one character.
        DataError: a file is missing, empty or no csv file in UTF-8, lacks a column or names no class; see also
            ``DetectionDataset``.
    """

    def __init__(
        self,
        annotations: str,
        images: str | None = None,
        classes: list[str] | None = None,
        classes_file: str | None = None,
        columns: tuple[str, str, str, str, str, str] | None = None,
        delimiter: str = ",",
        units: Literal["pixels", "shares"] = "pixels",
        name: str = "csv",
        root: str = ".",
        on_bad: Literal["error", "drop"] = "error",
        empty_images: Literal["keep", "drop"] = "keep",
    ) -> None:
        if classes is not None and classes_file is not None:
            raise ValueError("expected CLASSES or CLASSES_FILE, got both")
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise ValueError(f"DELIMITER: expected one character, got {delimiter!r}")
        faults = Faults(name, on_bad)
        path = existing_file(Path(root, annotations), "csv file")
        image_root = existing_folder(path.parent if images is None else Path(root, images), "images")
        names = classes if classes_file is None else _names_of(existing_file(Path(root, classes_file), "file of classes"))
        known = _Classes({} if names is None else {n: k for k, n in enumerate(names)}, names is None, classes is None, faults)
        table = _table(path, image_root, columns, delimiter, known)
        class_names = sorted(known.labels) if names is None else names
        if not class_names:
            faults.report()  # if rows are broken, that is why
            raise DataError(f"{path}: no row names a class; without CLASSES and CLASSES_FILE they are taken from the rows")
        label_of = [class_names.index(class_name) for class_name in known.labels]
        entries = table.entries(label_of, faults, in_shares=units == "shares")
        records = checked_records(entries, image_root, check_images=True, faults=faults)
        super().__init__(DatasetInfo(name, tuple(class_names)), records, image_root, on_bad, empty_images, faults)


@dataclass(frozen=True)
class _Classes:
    """The classes by name: all that come, or those that were given, of which others are broken or merely not taken."""

    labels: dict[str, int]
    grows: bool
    complete: bool
    faults: Faults

    def label(self, name: str, place: str) -> int | None:
        if name in self.labels:
            return self.labels[name]
        if not name:
            self.faults.add("boxes without a class", place)
        elif self.grows:
            return self.labels.setdefault(name, len(self.labels))
        elif self.complete:
            near = did_you_mean(name, self.labels)
            self.faults.add("boxes of an unknown class", f"{place}: {name!r}.{near} CLASSES_FILE has: {listed(self.labels)}.")
        else:
            self.faults.count(f"boxes of names not in CLASSES ({name})")
        return None


def _names_of(path: Path) -> list[str]:
    """Return the names of a file of classes in the order of their labels."""
    rows = list(read_rows(path))
    if not rows:
        raise DataError(f"{path}: is empty; expected the name of a class in each line")
    if all(len(cells) == 1 for _, cells in rows):
        labels = list(range(len(rows)))
    else:
        for line, cells in rows:
            if len(cells) != 2 or not cells[1].isdecimal():
                raise DataError(f"{path}:{line}: expected name,label with a label from 0 on, got {','.join(cells)!r}")
        labels = [int(cells[1]) for _, cells in rows]
    names = [cells[0] for _, cells in rows]
    if sorted(labels) != list(range(len(rows))) or len(set(names)) != len(names) or not all(names):
        raise DataError(f"{path}: expected each name once, with the labels 0 to {len(rows) - 1}")
    return [name for _, name in sorted(zip(labels, names, strict=True))]


def _table(path: Path, image_root: Path, columns: Sequence[str] | None, delimiter: str, classes: _Classes) -> BoxTable:
    rows = read_rows(path, delimiter)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: is empty; expected one row a box: {','.join(COLUMNS)}")
    indices, is_header = _columns(*first, columns, delimiter, path)
    table, width, faults = BoxTable(path), len(first[1]), classes.faults
    base = os.path.abspath(image_root)
    for line, cells in rows if is_header else chain([first], rows):
        place = f"{path}:{line}"
        if len(cells) != width:
            faults.add("rows of another length than the first", f"{place}: {len(cells)} cells instead of {width}")
            continue
        image, *corners, class_name = (cells[index] for index in indices)
        if not image:
            faults.add("rows without a path", f"{place}: {delimiter.join(cells)[:60]!r}")
            continue
        image = os.path.relpath(image, base) if os.path.isabs(image) else os.path.normpath(image)
        if not any(corners) and not class_name:
            table.add_empty(image, line)
            continue
        table.add_image(image, line)
        try:
            x1, y1, x2, y2 = (float(cell) for cell in corners)
        except ValueError:
            faults.add("boxes that are not four numbers", f"{place}: expected x1, y1, x2, y2, got {corners}")
            continue
        label = classes.label(class_name, place)
        if label is not None:
            table.add(image, (x1, y1, x2, y2), label, line)
    return table


def _columns(
    line: int, cells: Sequence[str], names: Sequence[str] | None, delimiter: str, path: Path
) -> tuple[list[int], bool]:
    """Return where path, x1, y1, x2, y2 and class stand, and whether the first row is a header."""
    if names is None and len(cells) == len(COLUMNS) and all(map(_is_number, cells[1:5])):
        return list(range(len(COLUMNS))), False
    wanted = COLUMNS if names is None else {meaning: (name,) for meaning, name in zip(COLUMNS, names, strict=True)}
    try:
        return list(columns_of(cells, wanted, f"{path}:{line}").values()), True
    except DataError as error:
        other = next((mark for mark in ",;\t|" if mark != delimiter and mark in cells[0]), None)
        hint = f" Are cells divided by {other!r}? DELIMITER is {delimiter!r}." if other and len(cells) == 1 else ""
        if names is None:
            hint += f" The first row is a header, unless it is a box: {','.join(COLUMNS)}."
        raise DataError(f"{error}{hint}") from None


def _is_number(cell: str) -> bool:
    """Whether a cell is a coordinate, or empty as in a row without an object."""
    try:
        float(cell or 0)
    except ValueError:
        return False
    return True
