"""COCODataset: images and boxes from a JSON file in the format of COCO."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from dettoolkit.data.datasets.coco_file import category_names, entries_of, ids_of, info_of, label_of_id, read_sections
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.datasets.entries import checked_records
from dettoolkit.data.datasets.faults import Faults
from dettoolkit.data.datasets.paths import existing_file, existing_folder
from dettoolkit.registry import DATASETS


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
        content = read_sections(path)
        names = category_names(content["categories"], path)
        label_of = label_of_id(sorted(names) if classes is None else ids_of(classes, names, path), labels, path)
        info = info_of(name, names, label_of)
        entries = entries_of(content, names, label_of, path, faults)
        super().__init__(
            info, checked_records(entries, image_root, check_images, faults), image_root, on_bad, empty_images, faults
        )
