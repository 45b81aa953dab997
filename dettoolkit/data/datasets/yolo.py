"""YOLODataset: images and boxes from text files in the format of YOLO."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.datasets.entries import Box, Entry, checked_records
from dettoolkit.data.datasets.faults import Faults
from dettoolkit.data.datasets.paths import existing_file, existing_folder
from dettoolkit.errors import DataError, did_you_mean, listed
from dettoolkit.registry import DATASETS
from dettoolkit.structures import DatasetInfo

# tells images from other files in their folder; the format itself is told by content
SUFFIXES = (
    ".avif",
    ".bmp",
    ".gif",
    ".heic",
    ".heif",
    ".jpeg",
    ".jpg",
    ".mpo",
    ".npy",
    ".pgm",
    ".png",
    ".ppm",
    ".tif",
    ".tiff",
    ".webp",
)


@DATASETS.register()
class YOLODataset(DetectionDataset):
    """Images and boxes from text files in the format of YOLO: a line ``class x y width height`` for each box.

    The numbers are the class, and the centre and size of the box as shares of the image. Lines with a polygon in place of
    the box (``class x1 y1 x2 y2 x3 y3 ...``) give the box around it. The file of labels has the path of its image with the
    last folder called ``images`` replaced by ``labels``, or stands beside it. An image without such a file has no boxes.

    Args:
        data: the ``data.yaml``, relative to ``DATASETS.ROOT``; it names the classes and the images of each split.
        split: the key in ``data.yaml``: ``train``, ``val`` or ``test``.
        images: instead of ``data``: the folder of the images, relative to ``DATASETS.ROOT``.
        classes: with ``images``: the names of the classes in the order of their numbers.
        name: the name in ``DATASETS.CATALOG``.
        root: ``DATASETS.ROOT``.
        on_bad: ``error`` or ``drop``, see ``DetectionDataset``.
        empty_images: ``keep`` or ``drop`` images without boxes.

    Raises:
        ValueError: neither ``data`` nor ``images`` with ``classes`` is given, or both.
        DataError: ``data.yaml`` is missing, lacks a key or contradicts itself; there are no labels; see also
            ``DetectionDataset``.
    """

    def __init__(
        self,
        data: str | None = None,
        split: str = "train",
        images: str | None = None,
        classes: list[str] | None = None,
        name: str = "yolo",
        root: str = ".",
        on_bad: Literal["error", "drop"] = "error",
        empty_images: Literal["keep", "drop"] = "keep",
    ) -> None:
        if (data is None) == (images is None) or (images is None) != (classes is None):
            raise ValueError(f"expected DATA, or IMAGES and CLASSES; got DATA {data!r}, IMAGES {images!r}, CLASSES {classes!r}")
        faults = Faults(name, on_bad)
        if data is not None:
            path = existing_file(Path(root, data), "data.yaml")
            content = _content(path)
            class_names, folders = _class_names(content, path), _folders(content, split, path)
        else:
            class_names, folders = classes or [], [Path(root, str(images))]
        files = [Path(os.path.abspath(file)) for folder in folders for file in _image_files(folder)]
        if not files:
            raise DataError(f"{name}: no images in {listed(folders)}; expected files that end in {listed(SUFFIXES)}")
        image_root = Path(os.path.commonpath([file.parent for file in files]))
        entries = _entries(files, image_root, class_names, faults)
        records = checked_records(entries, image_root, check_images=True, faults=faults)
        super().__init__(DatasetInfo(name, tuple(class_names)), records, image_root, on_bad, empty_images, faults)


def _content(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a mapping with names and splits, got {content!r}")
    return content


def _class_names(content: dict[str, Any], path: Path) -> list[str]:
    names = content.get("names")
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(f"{path}: expected 'names' with the keys 0 to {len(names) - 1}, got {listed(names)}")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: expected 'names', a list of the classes or a mapping from their numbers, got {names!r}")
    for name in names:
        if isinstance(name, bool) or not isinstance(name, (str, int, float)):
            raise DataError(f"{path}: the class name {name!r} is no string; put the word in quotes")
    if content.get("nc", len(names)) != len(names):
        raise DataError(f"{path}: 'nc' is {content['nc']!r}, but 'names' has {len(names)}: {listed(names)}")
    return [str(name) for name in names]


def _folders(content: dict[str, Any], split: str, path: Path) -> list[Path]:
    """Return the folders, or lists of files, that a split names."""
    if not content.get(split):
        raise DataError(
            f"{path}: names no images for SPLIT {split!r}.{did_you_mean(split, content)} It has: {listed(content)}."
        )
    places = content[split] if isinstance(content[split], list) else [content[split]]
    base = path.parent / str(content.get("path") or "")
    return [_beside(base, str(place)) for place in places]


def _beside(base: Path, place: str) -> Path:
    # exports of a widespread annotation service say ../train/images where they mean train/images
    if not (base / place).exists() and place.startswith("../") and (base / place[3:]).exists():
        return base / place[3:]
    return base / place


def _image_files(place: Path) -> list[Path]:
    if place.is_file():
        lines = (line.strip() for line in place.read_text(encoding="utf-8").splitlines())
        return [place.parent / line for line in lines if line]
    existing_folder(place, "images")
    return sorted(file for file in place.rglob("*") if file.suffix.lower() in SUFFIXES)


def _label_path(image: Path) -> Path:
    parts = list(image.with_suffix(".txt").parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return Path(*parts)


def _entries(files: Sequence[Path], image_root: Path, class_names: Sequence[str], faults: Faults) -> Iterator[Entry]:
    num_labelled = 0
    for file in files:
        file_name, path = file.relative_to(image_root).as_posix(), _label_path(file)
        entry = Entry(file_name, file_name, None, str(path), in_shares=True)
        if path.is_file():
            num_labelled += 1
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
                box = _box(line.split(), f"{path}:{number}", class_names, faults)
                if box is not None:
                    entry.boxes.append(box)
        yield entry
    if num_labelled == 0:
        raise DataError(f"no labels: none of {len(files)} images has a file like {_label_path(files[0])}")


def _box(words: Sequence[str], place: str, class_names: Sequence[str], faults: Faults) -> Box | None:
    if not words:
        return None
    try:
        number, *shares = (float(word) for word in words)
    except ValueError:
        number, shares = 0.0, []
    if len(shares) != 4 and (len(shares) < 6 or len(shares) % 2):
        faults.add("lines that are no box", f"{place}: expected class x y width height, got {' '.join(words)[:60]!r}")
        return None
    if number not in range(len(class_names)):
        faults.add("boxes of an unknown class", f"{place}: class {words[0]}, the names are 0 to {len(class_names) - 1}")
        return None
    if len(shares) == 4:
        x, y, width, height = shares
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    else:
        corners = (min(shares[::2]), min(shares[1::2]), max(shares[::2]), max(shares[1::2]))
    return Box(corners, int(number), place)
