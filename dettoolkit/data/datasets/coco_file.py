"""What a JSON file in the format of COCO says: its sections, categories, images and boxes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from iopath.common.file_io import g_pathmgr

from dettoolkit.data.datasets.entries import Box, Entry
from dettoolkit.data.datasets.faults import Faults
from dettoolkit.errors import DataError, did_you_mean, listed
from dettoolkit.structures import DatasetInfo

SECTIONS = ("images", "annotations", "categories")
_MOST_LABELS = 10_000  # a category id above would make a head that no memory holds


def read_sections(path: Path, without: str = "") -> dict[str, list[dict[str, Any]]]:
    """Return the content of the file, of which ``images``, ``annotations`` and ``categories`` are lists of objects.

    Args:
        path: the JSON file.
        without: a key that is left out of all objects as they are read, so that it takes no memory.

    Raises:
        DataError: it is not JSON, or a section is missing.
    """

    def kept(pairs: dict[str, Any]) -> dict[str, Any]:
        pairs.pop(without, None)
        return pairs

    try:
        with g_pathmgr.open(str(path), "rb") as file:
            content = json.load(file, object_hook=kept if without else None)
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


def category_names(categories: Sequence[dict[str, Any]], path: Path) -> dict[int, str]:
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


def ids_of(classes: Sequence[str], names: dict[int, str], path: Path) -> list[int]:
    """Return the ids of the categories that ``CLASSES`` names, each once."""
    ids = {name: category_id for category_id, name in names.items()}
    repeated = [name for index, name in enumerate(classes) if name in classes[:index]]
    if repeated:
        raise DataError(f"{path}: CLASSES names {repeated[0]!r} twice; expected each class once")
    for name in classes:
        if name not in ids:
            raise DataError(f"{path}: CLASSES names {name!r}.{did_you_mean(name, ids)} Its categories: {listed(ids)}.")
    return [ids[name] for name in classes]


def label_of_id(taken: Sequence[int], labels: str, path: Path) -> dict[int, int]:
    """Return the labels of the taken category ids: 0..K-1 (``contiguous``), or the ids themselves (``category_id``)."""
    if labels == "contiguous":
        return {category_id: label for label, category_id in enumerate(taken)}
    if min(taken) < 0 or max(taken) >= _MOST_LABELS:
        raise DataError(
            f"{path}: LABELS category_id expects ids in 0..{_MOST_LABELS - 1}, got {min(taken)} to {max(taken)}. "
            "With LABELS contiguous ids may be any."
        )
    return {category_id: category_id for category_id in taken}


def info_of(name: str, names: dict[int, str], label_of_id: dict[int, int]) -> DatasetInfo:
    """Return the classes in the order of their labels, with the category ids."""
    id_of_label = {label: category_id for category_id, label in label_of_id.items()}
    rows = [id_of_label.get(label, label) for label in range(max(id_of_label) + 1)]
    class_names = (names[row] if row in label_of_id else f"(no category {row})" for row in rows)
    return DatasetInfo(name, tuple(class_names), tuple(rows))


def entries_of(
    content: dict[str, list[dict[str, Any]]], names: dict[int, str], labels: dict[int, int], path: Path, faults: Faults
) -> Iterator[Entry]:
    """Yield the images in the order of the file, each with its boxes.

    Args:
        content: the sections.
        names: of the categories, by id.
        labels: of the categories that are taken, by id.
        path: of the file, for messages.
        faults: told of what is left out.
    """
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
