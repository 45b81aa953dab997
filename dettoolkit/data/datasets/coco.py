"""COCODataset: images and boxes from a JSON file in the format of COCO."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from iopath.common.file_io import g_pathmgr

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.datasets.entries import Box, Entry, checked_records
from dettoolkit.data.datasets.faults import Faults
from dettoolkit.data.datasets.paths import existing_file, existing_folder
from dettoolkit.errors import DataError, did_you_mean, listed
from dettoolkit.registry import DATASETS
from dettoolkit.structures import DatasetInfo

SECTIONS = ("images", "annotations", "categories")
_MOST_LABELS = 10_000  # a category id above would make a head that no memory holds


@DATASETS.register()
class COCODataset(DetectionDataset):
    """Images and boxes from a JSON file in the format of COCO (https://cocodataset.org/#format-data).

    Labels follow the category ids in ascending order, or are the ids themselves. Crowds (``iscrowd``) are marked to be
    ignored. ``area``, ``iscrowd`` and the ids of annotations may be missing; so may the sizes of images, which are then read
    from their headers.

    Args:
        annotations: the JSON file, relative to ``DATASETS.ROOT``.
        images: the folder that ``file_name`` is relative to, relative to ``DATASETS.ROOT``.
        classes: names of the categories to take, in the order of their labels; null: all, in the order of their ids.
        labels: contiguous: 0..K-1; or category_id: the ids of the file, so that K is the largest of them plus 1 and the ids
            that no category has are classes without boxes (torchvision's detectors: 91 classes for the 80 of COCO).
        check_images: read the header of each image at the start (100,000 images take some 20 seconds) and compare it with
            the annotations. Otherwise images are checked when they are decoded.
        name: the name in ``DATASETS.CATALOG``.
        root: ``DATASETS.ROOT``.
        on_bad: ``error`` or ``drop``, see ``DetectionDataset``. A repeated annotation id harms nothing: ``drop`` keeps its box.
        empty_images: ``keep`` or ``drop`` images without boxes.

    Raises:
        DataError: the file is missing, is not JSON, lacks a section or repeats a category; see also ``DetectionDataset``.
    """

    def __init__(
        self,
        annotations: str,
        images: str = ".",
        classes: list[str] | None = None,
        labels: Literal["contiguous", "category_id"] = "contiguous",
        check_images: bool = True,
        name: str = "coco",
        root: str = ".",
        on_bad: Literal["error", "drop"] = "error",
        empty_images: Literal["keep", "drop"] = "keep",
    ) -> None:
        faults = Faults(name, on_bad)
        path = existing_file(Path(root, annotations), "annotation file")
        image_root = existing_folder(Path(root, images), "images")
        content = _sections(path)
        names = _category_names(content["categories"], path)
        label_of = _label_of_id(sorted(names) if classes is None else _ids_of(classes, names, path), labels, path)
        info = _info(name, names, label_of)
        entries = _entries(content, names, label_of, path, faults)
        super().__init__(
            info, checked_records(entries, image_root, check_images, faults), image_root, on_bad, empty_images, faults
        )


def _sections(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        with g_pathmgr.open(str(path), "rb") as file:
            content = json.load(file)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected an annotation file in JSON, it is not: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object with {listed(SECTIONS)}, got a {type(content).__name__}")
    for section in SECTIONS:
        if section not in content:
            raise DataError(f"{path}: has no {section!r}.{did_you_mean(section, content)} It has: {listed(content)}.")
        rows = content[section]
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"{path}: expected a list of objects in {section!r}")
    return content


def _category_names(categories: Sequence[dict[str, Any]], path: Path) -> dict[int, str]:
    """Return the names by category id; what is wrong with categories leaves no meaning to any box, so it is never dropped."""
    names: dict[int, str] = {}
    for category in categories:
        category_id, name = category.get("id"), category.get("name")
        if not isinstance(category_id, int) or not isinstance(name, str):
            raise DataError(f"{path}: expected a category with a whole number 'id' and a 'name', got {category}")
        if category_id in names or name in names.values():
            raise DataError(f"{path}: category id {category_id} or name {name!r} stands twice in 'categories'")
        names[category_id] = name
    if not names:
        raise DataError(f"{path}: 'categories' is empty")
    return names


def _ids_of(classes: Sequence[str], names: dict[int, str], path: Path) -> list[int]:
    ids = {name: category_id for category_id, name in names.items()}
    for name in classes:
        if name not in ids:
            raise DataError(f"{path}: CLASSES names {name!r}.{did_you_mean(name, ids)} Its categories: {listed(ids)}.")
    return [ids[name] for name in classes]


def _label_of_id(taken: Sequence[int], labels: str, path: Path) -> dict[int, int]:
    if labels == "contiguous":
        return {category_id: label for label, category_id in enumerate(taken)}
    if min(taken) < 0 or max(taken) >= _MOST_LABELS:
        raise DataError(
            f"{path}: LABELS category_id expects ids in 0..{_MOST_LABELS - 1}, got {min(taken)} to {max(taken)}. "
            "With LABELS contiguous ids may be any."
        )
    return {category_id: category_id for category_id in taken}


def _info(name: str, names: dict[int, str], label_of_id: dict[int, int]) -> DatasetInfo:
    id_of_label = {label: category_id for category_id, label in label_of_id.items()}
    rows = [id_of_label.get(label, label) for label in range(max(id_of_label) + 1)]
    class_names = (names[row] if row in label_of_id else f"(no category {row})" for row in rows)
    return DatasetInfo(name, tuple(class_names), tuple(rows))


def _entries(
    content: dict[str, list[dict[str, Any]]], names: dict[int, str], labels: dict[int, int], path: Path, faults: Faults
) -> Iterator[Entry]:
    entries: dict[int | str, Entry] = {}
    for image in content["images"]:
        entry = _entry(image, path)
        if entry is None:
            faults.add("images without 'id' or 'file_name'", f"{path}: {image}")
        elif entry.image_id in entries:
            faults.add("repeated image ids", f"{entry.place}: {entry.file_name!r} and {entries[entry.image_id].file_name!r}")
        else:
            entries[entry.image_id] = entry
    annotations = _by_image(content["annotations"], entries, path, faults)
    for image_id in list(entries):
        entry = entries.pop(image_id)  # what is handed on need not stay
        for place, annotation in annotations.pop(image_id, ()):
            box = _box(annotation, place, names, labels, faults)
            if box is not None:
                entry.boxes.append(box)
        yield entry


def _entry(image: dict[str, Any], path: Path) -> Entry | None:
    image_id, file_name, size = image.get("id"), image.get("file_name"), (image.get("height"), image.get("width"))
    if not isinstance(image_id, (int, str)) or not isinstance(file_name, str) or not file_name:
        return None
    known = all(isinstance(side, int) and side > 0 for side in size)
    return Entry(image_id, file_name, size if known else None, f"{path}: image {image_id!r}")  # type: ignore[arg-type]


def _by_image(
    annotations: Sequence[dict[str, Any]], entries: dict[int | str, Entry], path: Path, faults: Faults
) -> dict[int | str, list[tuple[str, dict[str, Any]]]]:
    """Return (place, annotation) by image id."""
    by_image = defaultdict(list)
    seen: set[int | str] = set()
    for index, annotation in enumerate(annotations):
        annotation_id, image_id = annotation.get("id"), annotation.get("image_id")
        place = f"{path}: annotation {index} (from 0)" if annotation_id is None else f"{path}: annotation {annotation_id!r}"
        if isinstance(annotation_id, (int, str)):
            if annotation_id in seen:
                faults.add("repeated annotation ids", f"{place} of image {image_id!r}")
            seen.add(annotation_id)
        if isinstance(image_id, (int, str)) and image_id in entries:
            by_image[image_id].append((place, annotation))
        else:
            faults.add("boxes of an unknown image", f"{place}: image_id {image_id!r} is not in 'images'")
    return by_image


def _box(annotation: dict[str, Any], place: str, names: dict[int, str], labels: dict[int, int], faults: Faults) -> Box | None:
    category_id, numbers, area = annotation.get("category_id"), annotation.get("bbox"), annotation.get("area")
    if not isinstance(category_id, int) or category_id not in names:
        faults.add("boxes of an unknown category", f"{place}: category_id {category_id!r}, 'categories' has {listed(names)}")
    elif category_id not in labels:
        faults.count(f"boxes of categories not in CLASSES ({names[category_id]})")
    elif not isinstance(numbers, list) or len(numbers) != 4 or not all(isinstance(number, (int, float)) for number in numbers):
        faults.add("boxes that are not four numbers", f"{place}: expected bbox [x, y, width, height], got {numbers!r}")
    else:
        x, y, width, height = numbers
        area = area if isinstance(area, (int, float)) else None
        return Box((x, y, x + width, y + height), labels[category_id], place, bool(annotation.get("iscrowd", 0)), area)
    return None
