"""VOCDataset: images and boxes from XML files in the format of Pascal VOC."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.datasets.entries import Box, Entry, checked_records
from dettoolkit.data.datasets.faults import Faults
from dettoolkit.data.datasets.paths import existing_file, existing_folder
from dettoolkit.errors import DataError, listed
from dettoolkit.registry import DATASETS
from dettoolkit.structures import DatasetInfo

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@DATASETS.register()
class VOCDataset(DetectionDataset):
    """Images and boxes from XML files in the format of Pascal VOC.

    ``FOLDER`` holds ``Annotations/*.xml``, ``ImageSets/Main/SPLIT.txt`` and, unless ``IMAGES`` names another folder,
    ``JPEGImages``. An image is the file with the name of its XML file, whatever its suffix.

    Args:
        folder: relative to ``DATASETS.ROOT``.
        split: the list of images in ``ImageSets/Main``; null: all XML files.
        images: the folder of the images, relative to ``DATASETS.ROOT``; null: ``FOLDER/JPEGImages``.
        classes: names in the order of their labels; objects of other names are left out and counted. null: all names in
            ``Annotations`` (of all splits, so that these have the same classes), sorted.
        difficult: ``ignore`` marks difficult objects like crowds, as VOC's own evaluation leaves them out; ``keep`` takes them
            like any other.
        coordinates: ``edges``: xmin to xmax are edges in an image that spans 0 to its width, as LabelImg and most tools of
            today write them. ``pixels``: they are the first and the last pixel counted from 1, as in the VOC data sets
            themselves; the box is [xmin - 1, ymin - 1, xmax, ymax] then. In both, xmin must be less than xmax as written.
        check_images: read the header of each image at the start and compare it with its XML file.
        name: the name in ``DATASETS.CATALOG``.
        root: ``DATASETS.ROOT``.
        on_bad: ``error`` or ``drop``, see ``DetectionDataset``.
        empty_images: ``keep`` or ``drop`` images without boxes.

    Raises:
        DataError: a folder or the list of the split is missing, or no object has a name; see also ``DetectionDataset``.
    """

    def __init__(
        self,
        folder: str,
        split: str | None = None,
        images: str | None = None,
        classes: list[str] | None = None,
        difficult: Literal["ignore", "keep"] = "ignore",
        coordinates: Literal["edges", "pixels"] = "edges",
        check_images: bool = True,
        name: str = "voc",
        root: str = ".",
        on_bad: Literal["error", "drop"] = "error",
        empty_images: Literal["keep", "drop"] = "keep",
    ) -> None:
        faults = Faults(name, on_bad)
        base = existing_folder(Path(root, folder), "VOC data")
        annotations = existing_folder(base / "Annotations", "XML files")
        image_root = existing_folder(base / "JPEGImages" if images is None else Path(root, images), "images")
        image_ids = _ids_of(base, split)
        class_names = _names_in(annotations) if classes is None else classes
        reader = _BoxReader(
            {class_name: label for label, class_name in enumerate(class_names)},
            offset={"edges": 0.0, "pixels": 1.0}[coordinates],
            ignores_difficult=difficult == "ignore",
            faults=faults,
        )
        records = checked_records(_entries(image_ids, annotations, image_root, reader), image_root, check_images, faults)
        super().__init__(DatasetInfo(name, tuple(class_names)), records, image_root, on_bad, empty_images, faults)


@dataclass(frozen=True)
class _BoxReader:
    labels: Mapping[str, int]
    offset: float
    ignores_difficult: bool
    faults: Faults

    def __call__(self, element: Element, place: str) -> Box | None:
        name = (element.findtext("name") or "").strip()
        if not name:
            self.faults.add("boxes without a name", place)
            return None
        if name not in self.labels:
            self.faults.count(f"boxes of names not in CLASSES ({name})")
            return None
        texts = [element.findtext(f"bndbox/{corner}") for corner in CORNERS]
        try:
            x1, y1, x2, y2 = (float(text) for text in texts if text is not None)
        except ValueError:
            self.faults.add("boxes that are not four numbers", f"{place}: expected bndbox with {listed(CORNERS)}, got {texts}")
            return None
        if x2 > x1 and y2 > y1:  # else the offset would give an area to a box that has none
            x1, y1 = x1 - self.offset, y1 - self.offset
        difficult = (element.findtext("difficult") or "0").strip() == "1"
        return Box((x1, y1, x2, y2), self.labels[name], place, ignore=difficult and self.ignores_difficult)


def _entries(image_ids: Sequence[str], annotations: Path, image_root: Path, reader: _BoxReader) -> Iterator[Entry]:
    by_stem = {Path(file_name).stem: file_name for file_name in sorted(os.listdir(image_root), reverse=True)}
    for image_id in image_ids:
        path = annotations / f"{image_id}.xml"
        try:
            root = _parse(path)
        except DataError as error:
            reader.faults.add("XML files that cannot be read", str(error))
            continue
        file_name = by_stem.get(image_id, f"{image_id}.jpg")
        boxes = [reader(element, f"{path}: object {index} (from 0)") for index, element in enumerate(root.findall("object"))]
        yield Entry(image_id, file_name, _size(root), str(path), [box for box in boxes if box is not None])


def _ids_of(base: Path, split: str | None) -> list[str]:
    if split is None:
        return sorted(path.stem for path in (base / "Annotations").glob("*.xml"))
    path = existing_file(base / "ImageSets" / "Main" / f"{split}.txt", "list of the images of a split")
    # the lists of one class have a second column
    return list(dict.fromkeys(line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()))


def _parse(path: Path) -> Element:
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, parse

    try:
        return parse(path).getroot()
    except FileNotFoundError:
        raise DataError(f"{path}: no such XML file") from None
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise DataError(f"{path}: is not XML: {error}") from error


def _names_in(annotations: Path) -> list[str]:
    """Return the names of all objects in a folder of XML files, sorted."""
    names = set().union(*(_names_of(path) for path in annotations.glob("*.xml"))) - {""}
    if not names:
        raise DataError(f"{annotations}: no XML file there names an object; without CLASSES the names are taken from them")
    return sorted(names)


def _names_of(path: Path) -> set[str]:
    try:
        return {(element.text or "").strip() for element in _parse(path).findall("object/name")}
    except DataError:  # reported by the split that it belongs to
        return set()


def _size(root: Element) -> tuple[int, int] | None:
    """Return (height, width), None where the file has none (some tools write 0)."""
    try:
        height, width = (int(root.findtext(f"size/{side}") or 0) for side in ("height", "width"))
    except ValueError:
        return None
    return (height, width) if height > 0 and width > 0 else None
