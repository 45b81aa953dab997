"""LVISDataset: images and boxes from a JSON file in the format of LVIS."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import urlsplit

from dettoolkit.data.datasets.coco_file import category_names, entries_of, ids_of, info_of, label_of_id, read_sections
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.datasets.entries import checked_records
from dettoolkit.data.datasets.faults import Faults
from dettoolkit.data.datasets.paths import existing_file, existing_folder
from dettoolkit.errors import DataError
from dettoolkit.registry import DATASETS

logger = logging.getLogger(__name__)

FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}
FEDERATED = ("neg_category_ids", "not_exhaustive_category_ids")


@DATASETS.register()
class LVISDataset(DetectionDataset):
    """Images and boxes from a JSON file in the format of LVIS (Gupta et al., "LVIS", CVPR 2019; versions 0.5 and 1).

    LVIS is annotated in a federated way: of an image it is known which classes it has, of which it surely has none
    (``neg_category_ids``) and of which perhaps not all objects are marked (``not_exhaustive_category_ids``); of all other
    classes, most of the 1203, nothing is known. Training here takes what is not annotated for background, and evaluators by
    the rules of COCO or VOC count correct boxes of such classes as false: their AP is lower than, and no substitute for,
    the AP of LVIS. A warning says so. There are no crowds in LVIS. For its rare classes see the sampler RepeatFactorSampler.

    Labels follow the category ids in ascending order. Segmentations are not kept.

    Attributes:
        frequencies: ``[K]``, ``r``, ``c`` or ``f``: in up to 10, up to 100 or more images of LVIS's training set.
        absent: image id -> the labels that the image surely does not have.
        not_exhaustive: image id -> the labels of which it may have more objects than are marked.

    Args:
        annotations: the JSON file, relative to ``DATASETS.ROOT``.
        images: the folder with COCO's ``train2017`` and ``val2017``, which the images' ``coco_url`` names; or, where images
            have a ``file_name``, the folder that it is relative to. Relative to ``DATASETS.ROOT``.
        classes: names of the categories to take, in the order of their labels; null: all, in the order of their ids.
        check_images: as of ``COCODataset``.
        name: the name in ``DATASETS.CATALOG``.
        root: ``DATASETS.ROOT``.
        on_bad: ``error`` or ``drop``, see ``DetectionDataset``.
        empty_images: ``keep`` or ``drop`` images without boxes.

    Raises:
        DataError: the file is missing, is not JSON, or is not of LVIS: a section or the frequency of a category is missing; see
            also ``DetectionDataset``.
    """

    def __init__(
        self,
        annotations: str,
        images: str = ".",
        classes: list[str] | None = None,
        check_images: bool = True,
        name: str = "lvis",
        root: str = ".",
        on_bad: Literal["error", "drop"] = "error",
        empty_images: Literal["keep", "drop"] = "keep",
    ) -> None:
        faults = Faults(name, on_bad)
        path = existing_file(Path(root, annotations), "annotation file")
        image_root = existing_folder(Path(root, images), "images")
        content = read_sections(path, without="segmentation")
        names = category_names(content["categories"], path)
        frequency_of = _frequencies(content["categories"], path)
        labels = label_of_id(sorted(names) if classes is None else ids_of(classes, names, path), "contiguous", path)
        self.frequencies = tuple(frequency_of[category_id] for category_id in labels)
        self.absent, self.not_exhaustive = (_labels_by_image(content["images"], key, labels, path) for key in FEDERATED)
        for image in content["images"]:
            image.setdefault("file_name", _name_in_url(image.get("coco_url")))
        entries = entries_of(content, names, labels, path, faults)
        records = checked_records(entries, image_root, check_images, faults)
        super().__init__(info_of(name, names, labels), records, image_root, on_bad, empty_images, faults)
        logger.warning(
            "%s: classes that were not looked for in an image count as background here, in training and in AP: an AP by other "
            "rules than LVIS's own is not its AP",
            name,
        )


def _frequencies(categories: list[dict[str, Any]], path: Path) -> dict[int, str]:
    for category in categories:
        if category.get("frequency") not in FREQUENCIES:
            known = ", ".join(f"{letter!r} ({word})" for letter, word in FREQUENCIES.items())
            raise DataError(
                f"{path}: category {category['id']} ({category['name']!r}): expected the 'frequency' {known}, got "
                f"{category.get('frequency')!r}. A file without frequencies is one for COCODataset."
            )
    return {category["id"]: category["frequency"] for category in categories}


def _labels_by_image(
    images: list[dict[str, Any]], key: str, labels: Mapping[int, int], path: Path
) -> dict[int | str, tuple[int, ...]]:
    """Return the labels that images list under ``key``, of the classes that are taken; an image without any is left out."""
    by_image: dict[int | str, tuple[int, ...]] = {}
    for image in images:
        category_ids = image.get(key, [])
        if not isinstance(category_ids, list) or not all(isinstance(category_id, int) for category_id in category_ids):
            raise DataError(
                f"{path}: image {image.get('id')!r}: expected {key!r} to be a list of category ids, got {category_ids!r}"
            )
        listed = tuple(labels[category_id] for category_id in category_ids if category_id in labels)
        if listed and isinstance(image.get("id"), (int, str)):
            by_image[image["id"]] = listed
    return by_image


def _name_in_url(url: Any) -> str | None:
    """Return ``train2017/000000391895.jpg`` of ``http://images.cocodataset.org/train2017/000000391895.jpg``."""
    parts = PurePosixPath(urlsplit(url).path).parts if isinstance(url, str) else ()
    return "/".join(parts[-2:]) if len(parts) >= 2 else None
