"""InspectedSet: what the files of a data set say, boxes that are broken included."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dettoolkit.data import build_dataset
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.datasets.entries import Entry
from dettoolkit.data.datasets.faults import observed_by
from dettoolkit.data.datasets.paths import leaves_folder
from dettoolkit.data.image_form import as_shown
from dettoolkit.errors import DataError
from dettoolkit.structures import DatasetInfo, FindingExample

LEADS_OUT = "its name leads out of the folder of the images; it was not opened"
Use = Literal["train", "test"]


@dataclass(frozen=True, slots=True)
class InspectedImage:
    """An image as its file gives it, without its boxes; see ``dettoolkit.data.datasets.entries.Entry``."""

    image_id: int | str
    file_name: str
    stated_size: tuple[int, int] | None
    place: str
    in_shares: bool = False


@dataclass
class BoxTable:
    """B boxes as their files give them.

    Args:
        corners: ``[B, 4]`` float64 x1, y1, x2, y2 in pixels, or in shares of the image where it says so; nothing is checked.
        labels: ``[B]`` int64, 0..K-1.
        ignore: ``[B]`` bool; True marks a crowd region.
        images: ``[B]`` int64: index of the image; ascending.
        areas: ``[B]`` float64 square pixels, NaN where the file has none.
        places: ``[B]`` file and id or line.
    """

    corners: NDArray[np.float64]
    labels: NDArray[np.int64]
    ignore: NDArray[np.bool_]
    images: NDArray[np.int64]
    areas: NDArray[np.float64]
    places: list[str]


@dataclass
class InspectedSet:
    """What a data set's files say.

    Args:
        dataset: built as far as it could be.
        images: N of them, in the order of the files.
        boxes: of all images.
        faults: (words, where) for each broken thing that made it into no entry.
        left_out: what the parser left out otherwise, in its words, and how often.
        uses: what the config takes the set for.
        sizes: ``[N, 2]`` int64 (height, width) that the boxes of an image refer to; 0 where it is not known yet.
    """

    dataset: DetectionDataset
    images: list[InspectedImage]
    boxes: BoxTable
    faults: list[tuple[str, str]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    uses: frozenset[Use] = frozenset()
    sizes: NDArray[np.int64] = field(init=False)
    _index_of_id: dict[int | str, int] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.sizes = np.array([image.stated_size or (0, 0) for image in self.images], dtype=np.int64).reshape(-1, 2)

    @property
    def info(self) -> DatasetInfo:
        """Name and classes."""
        return self.dataset.info

    @property
    def image_root(self) -> Path | None:
        """The folder of the images; None for sets that draw theirs."""
        return self.dataset.image_root

    def index_of(self, image_id: int | str) -> int:
        """Return the index of the first image with that id.

        Raises:
            KeyError: no image has that id.
        """
        if self._index_of_id is None:
            self._index_of_id = {image.image_id: index for index, image in reversed(list(enumerate(self.images)))}
        return self._index_of_id[image_id]

    def read_image(self, index: int) -> Tensor:
        """Return an image as uint8 RGB ``[3, H, W]``, whether or not it fits its annotations.

        Raises:
            DataError: it cannot be read, or its name leads out of the folder of the images: then nothing is opened.
        """
        image = self.images[index]
        if self.image_root is None:
            return self.dataset.read_image(image.image_id)
        if leaves_folder(image.file_name):  # pages are passed on, and must not show what else the computer holds
            raise DataError(LEADS_OUT)
        return as_shown(self.dataset.form.read(self.image_root / image.file_name))

    def pixel_corners(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return ``[B, 4]`` corners in pixels and ``[B, 2]`` (height, width); NaN and 0 where shares are of an unknown size."""
        sizes = self.sizes[self.boxes.images]
        in_shares = self.boxes_in_shares()
        sides = np.tile(sizes[:, ::-1], 2).astype(np.float64)
        sides[sides == 0] = np.nan
        return np.where(in_shares[:, None], self.boxes.corners * sides, self.boxes.corners), sizes

    def boxes_in_shares(self) -> NDArray[np.bool_]:
        """Return ``[B]`` which boxes are given in shares of their image."""
        return np.array([image.in_shares for image in self.images], dtype=np.bool_)[self.boxes.images]

    def image_example(self, index: int, text: str) -> FindingExample:
        """Return an example that shows an image."""
        image = self.images[index]
        return FindingExample(text, self.info.name, image.image_id, image.file_name, None, image.place)

    def box_example(self, index: int, corners: NDArray[np.float64], text: str) -> FindingExample:
        """Return an example that shows a box, or its image where a number is not finite: JSON has no such number.

        Args:
            index: of the box.
            corners: those of :meth:`pixel_corners`.
            text: what was found.
        """
        image = self.images[int(self.boxes.images[index])]
        x1, y1, x2, y2 = (float(number) for number in corners[index])
        label = int(self.boxes.labels[index])
        name = self.info.class_names[label] if 0 <= label < len(self.info.class_names) else str(label)
        text = f"{name} [{x1:g}, {y1:g}, {x2:g}, {y2:g}] {text}"
        box = (x1, y1, x2, y2) if np.isfinite(corners[index]).all() else None
        return FindingExample(text, self.info.name, image.image_id, image.file_name, box, self.boxes.places[index])


class _Collector:
    """Keeps what an observer is shown, numbers as plain arrays."""

    def __init__(self) -> None:
        self.images: list[InspectedImage] = []
        self.faults: list[tuple[str, str]] = []
        self.others: Counter[str] = Counter()
        self._corners, self._areas = array("d"), array("d")
        self._labels, self._owners = array("q"), array("q")
        self._ignore = bytearray()
        self._places: list[str] = []

    def entry(self, entry: Entry) -> None:
        index = len(self.images)
        self.images.append(InspectedImage(entry.image_id, entry.file_name, entry.size, entry.place, entry.in_shares))
        for box in entry.boxes:
            self._corners.extend(box.corners)
            self._areas.append(np.nan if box.area is None else box.area)
            self._labels.append(box.label)
            self._owners.append(index)
            self._ignore.append(box.ignore)
            self._places.append(box.place)

    def fault(self, kind: str, where: str) -> None:
        self.faults.append((kind, where))

    def left_out(self, kind: str) -> None:
        self.others[kind] += 1

    def boxes(self) -> BoxTable:
        corners, areas = (np.array(numbers, dtype=np.float64) for numbers in (self._corners, self._areas))
        labels, owners = (np.array(numbers, dtype=np.int64) for numbers in (self._labels, self._owners))
        ignore = np.frombuffer(bytes(self._ignore), dtype=np.bool_)
        return BoxTable(corners.reshape(-1, 4), labels, ignore, owners, areas, self._places)


def inspect_dataset(cfg: Any, name: str) -> InspectedSet:
    """Build the data set of a name and keep what its files say, to the end, whatever ``DATASETS.ON_BAD`` is.

    Raises:
        ConfigError: no data set has that name.
        DataError: its files leave no meaning to any of it: one is missing, or is not in its format.
    """
    cfg = cfg.clone()
    cfg.defrost()
    lists: dict[Use, list[str]] = {"train": cfg.DATASETS.TRAIN, "test": cfg.DATASETS.TEST}
    uses = frozenset(use for use, names in lists.items() if name in names)
    cfg.DATASETS.ON_BAD, cfg.DATASETS.EMPTY_IMAGES = "drop", "keep"
    collector = _Collector()
    with observed_by(collector):
        dataset = build_dataset(cfg, name)
    if not collector.images and len(dataset):  # it draws its images, or comes to its records in a way of its own
        return from_records(dataset, uses)
    return InspectedSet(dataset, collector.images, collector.boxes(), collector.faults, collector.others, uses)


def from_records(dataset: DetectionDataset, uses: frozenset[Use] = frozenset()) -> InspectedSet:
    """Return what a data set that is built already holds: what was broken has left it."""
    images: list[InspectedImage] = []
    columns: tuple[list[NDArray[Any]], ...] = ([np.zeros((0, 4))], [np.zeros(0)], [np.zeros(0)], [np.zeros(0)])
    for record in dataset.records:
        images.append(InspectedImage(record.image_id, record.file_name, (record.height, record.width), ""))
        arrays: tuple[NDArray[Any], ...] = (record.boxes, record.labels, record.ignore, record.areas)
        for column, values in zip(columns, arrays, strict=True):
            column.append(values)
    corners, labels, ignore, areas = (np.concatenate(column) for column in columns)
    owners = np.repeat(np.arange(len(images)), dataset.records.num_boxes)
    boxes = BoxTable(
        corners.astype(np.float64),
        labels.astype(np.int64),
        ignore.astype(np.bool_),
        owners,
        areas.astype(np.float64),
        [""] * len(owners),
    )
    return InspectedSet(dataset, images, boxes, uses=uses)
