"""OpenImagesDataset: images and boxes from the csv files of Open Images."""

from __future__ import annotations

import logging
from collections.abc import Mapping
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

logger = logging.getLogger(__name__)

COLUMNS = ("ImageID", "LabelName", "XMin", "YMin", "XMax", "YMax")
GROUP_OF = "IsGroupOf"


@DATASETS.register()
class OpenImagesDataset(DetectionDataset):
    """Images and boxes from the csv files of Open Images (https://storage.googleapis.com/openimages/web/download_v7.html).

    The table of boxes has a header with ImageID, LabelName, XMin, XMax, YMin and YMax, as shares of width and height; other
    columns but IsGroupOf are not read. The picture of a row is ``IMAGES/<ImageID>.jpg``. Pictures without a box are not in
    the set: the tables do not say that they show no object.

    Two things of Open Images are not used, so that AP from here is not that of its challenge: its labels of whole images (which
    say what is certainly absent; here all classes without a box are background), and its hierarchy of classes (a box of a class
    is not also one of its parents).

    Args:
        annotations: the csv file of boxes, e.g. ``train-annotations-bbox.csv``, relative to ``DATASETS.ROOT``.
        class_descriptions: the csv file with LabelName and name of each class, e.g. ``class-descriptions-boxable.csv``,
            relative to ``DATASETS.ROOT``.
        images: the folder of the images, relative to ``DATASETS.ROOT``.
        classes: names of the classes to take, in the order of their labels; null: all of the descriptions, in their order.
        group_of: ``ignore`` marks boxes around a group of more than five objects (IsGroupOf) like crowds; ``keep`` takes them
            like any other.
        name: the name in ``DATASETS.CATALOG``.
        root: ``DATASETS.ROOT``.
        on_bad: ``error`` or ``drop``, see ``DetectionDataset``; with ``drop`` a part of the pictures is enough.
        empty_images: ``keep`` or ``drop`` images of which no box is left.

    Raises:
        DataError: a file is missing, empty or no csv file in UTF-8, or lacks a column; see also ``DetectionDataset``.
    """

    def __init__(
        self,
        annotations: str,
        class_descriptions: str,
        images: str,
        classes: list[str] | None = None,
        group_of: Literal["ignore", "keep"] = "ignore",
        name: str = "open_images",
        root: str = ".",
        on_bad: Literal["error", "drop"] = "error",
        empty_images: Literal["keep", "drop"] = "keep",
    ) -> None:
        faults = Faults(name, on_bad)
        path = existing_file(Path(root, annotations), "csv file of boxes")
        descriptions = existing_file(Path(root, class_descriptions), "csv file of class descriptions")
        image_root = existing_folder(Path(root, images), "images")
        names = _names_by_id(descriptions)
        class_names = list(names.values()) if classes is None else classes
        for class_name in class_names:
            if class_name not in names.values():
                near = did_you_mean(class_name, names.values())
                raise DataError(f"{descriptions}: CLASSES names {class_name!r}.{near} It has: {listed(names.values(), 10)}.")
        labels = {class_name: label for label, class_name in enumerate(class_names)}
        table = _table(path, names, labels, group_of == "ignore", faults)
        entries = table.entries(range(len(labels)), faults, suffix=".jpg", in_shares=True)
        records = checked_records(entries, image_root, check_images=True, faults=faults)
        super().__init__(DatasetInfo(name, tuple(class_names)), records, image_root, on_bad, empty_images, faults)
        logger.info(
            "%s: image-level labels and the hierarchy of classes are not used: AP is by the rules of EVALUATORS, not by those "
            "of the Open Images challenge",
            name,
        )


def _names_by_id(path: Path) -> dict[str, str]:
    """Return the names of classes by LabelName (``/m/01g317``), in the order of the file."""
    names: dict[str, str] = {}
    seen: set[str] = set()
    for line, cells in read_rows(path):
        if len(cells) != 2 or not all(cells):
            raise DataError(f"{path}:{line}: expected LabelName and name of a class, got {','.join(cells)[:60]!r}")
        label_name, class_name = cells
        if label_name.casefold() == "labelname":  # version 7 has a header, those before have none
            continue
        if label_name in names or class_name in seen:
            raise DataError(f"{path}:{line}: {label_name} or {class_name!r} stands twice")
        names[label_name] = class_name
        seen.add(class_name)
    if not names:
        raise DataError(f"{path}: names no class; expected LabelName and name of a class in each line")
    return names


def _table(path: Path, names: Mapping[str, str], labels: Mapping[str, int], ignores_groups: bool, faults: Faults) -> BoxTable:
    rows = read_rows(path)
    line, header = next(rows, (0, []))
    if not header:
        raise DataError(f"{path}: is empty; expected a header with {', '.join(COLUMNS)} and one row a box")
    columns = _columns(header, f"{path}:{line}")
    group_of = next((index for index, column in enumerate(header) if column.casefold() == GROUP_OF.casefold()), None)
    table = BoxTable(path)
    for line, cells in rows:
        if len(cells) != len(header):
            faults.add("rows of another length than the header", f"{path}:{line}: {len(cells)} cells instead of {len(header)}")
            continue
        image, label_name, *corners = (cells[index] for index in columns)
        if not image:
            faults.add("images without ImageID", f"{path}:{line}")
            continue
        table.add_image(image, line)
        if label_name not in names:
            faults.add("boxes of an unknown class", f"{path}:{line}: LabelName {label_name!r} is not in CLASS_DESCRIPTIONS")
        elif names[label_name] not in labels:
            faults.count(f"boxes of names not in CLASSES ({names[label_name]})")
        else:
            ignore = ignores_groups and group_of is not None and cells[group_of] == "1"
            _add(table, image, corners, labels[names[label_name]], line, ignore, faults)
    return table


def _columns(header: list[str], place: str) -> list[int]:
    try:
        return list(columns_of(header, {name: (name,) for name in COLUMNS}, place).values())
    except DataError as error:
        has_labels = {"imageid", "labelname", "confidence"} <= {name.casefold() for name in header}
        hint = " Labels of whole images have no boxes: take the csv file of boxes." if has_labels and len(header) < 6 else ""
        raise DataError(f"{error}{hint}") from None


def _add(table: BoxTable, image: str, corners: list[str], label: int, line: int, ignore: bool, faults: Faults) -> None:
    try:
        x1, y1, x2, y2 = (float(cell) for cell in corners)
    except ValueError:
        faults.add("boxes that are not four numbers", f"{table.path}:{line}: expected XMin, YMin, XMax, YMax, got {corners}")
        return
    table.add(image, (x1, y1, x2, y2), label, line, ignore)
