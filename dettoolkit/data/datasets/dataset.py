"""DetectionDataset: images with annotations, whatever files they come from."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat, Image

from dettoolkit.data.datasets.faults import Faults, size_fault
from dettoolkit.data.image_form import ImageForm, as_shown
from dettoolkit.data.records import Record, RecordArray
from dettoolkit.errors import DataError
from dettoolkit.structures import Annotations, DatasetInfo, Sample

logger = logging.getLogger(__name__)


class DetectionDataset(Dataset[Sample]):
    """Images with annotations.

    A format parses its files in the constructor of its own class and passes records on; a set that draws its images
    overrides ``_image``.

    Args:
        info: name, classes and category ids.
        records: one for each image; taken one by one and kept serialised.
        image_root: the folder that ``Record.file_name`` is relative to; None for sets without image files.
        on_bad: ``error``: a broken box, or an image that cannot be read, is a ``DataError``. ``drop``: broken boxes and images
            are left out, counted and logged; an image that turns out broken only when it is decoded becomes a black
            one without boxes, logged once in each process, so that the order and the number of the others stay as they are.
        empty_images: ``keep`` images without boxes as pictures of background, or ``drop`` them.
        faults: what the parser found broken; asked once all records are read.

    Attributes:
        image_weights: ``[len]`` float64, how often each image comes in an epoch of training; None: once.
        form: of the images.

    Raises:
        DataError: nothing is left, or something is broken and ``on_bad`` is ``error``.
    """

    image_weights: NDArray[np.float64] | None = None
    form = ImageForm()

    def __init__(
        self,
        info: DatasetInfo,
        records: Iterable[Record],
        image_root: Path | None = None,
        on_bad: Literal["error", "drop"] = "error",
        empty_images: Literal["keep", "drop"] = "keep",
        faults: Faults | None = None,
    ) -> None:
        faults = Faults(info.name, on_bad) if faults is None else faults
        self.info = info
        self.image_root = image_root
        self.on_bad = on_bad
        self.records = RecordArray(_counted(records, empty_images, faults))
        faults.report()
        faults.check_not_empty(len(self.records), int(self.records.num_boxes.sum()), info.class_names)
        self._index_of_id: dict[int | str, int] | None = None
        self._left_out: set[int] = set()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        """Return the sample at ``index``: its image, boxes, labels and marks, and the annotations once more as ``original``.

        Raises:
            DataError: the image cannot be read or has another size than its annotations say, and ``on_bad`` is ``error``.
        """
        record = self.records[index]
        try:
            image = self._checked_image(record)
        except DataError as error:
            if self.on_bad == "error":
                raise DataError(
                    f"{error}. Repair the file, or set DATASETS.ON_BAD: drop to leave out what is broken."
                ) from error
            if index not in self._left_out:
                self._left_out.add(index)
                logger.warning("left out, with a black picture in its place (DATASETS.ON_BAD: drop): %s", error)
            image = torch.zeros(self.form.channels, record.height, record.width, dtype=self.form.dtype)
            record = Record(record.image_id, record.file_name, record.height, record.width, [], [], [], [])  # type: ignore[arg-type]
        return _sample(record, image)

    def take(self, indices: Sequence[int]) -> None:
        """Leave only the images at these indices, in this order."""
        self.records = RecordArray(self.records[index] for index in indices)
        self._index_of_id = None
        self._left_out = set()

    def index_of(self, image_id: int | str) -> int:
        """Return the index of the first image with that id.

        Raises:
            KeyError: no image has that id.
        """
        if self._index_of_id is None:
            backwards = range(len(self) - 1, -1, -1)
            self._index_of_id = {self.records[index].image_id: index for index in backwards}
        if image_id not in self._index_of_id:
            raise KeyError(f"{self.info.name}: no image has the id {image_id!r}")
        return self._index_of_id[image_id]

    def read_image(self, image_id: int | str) -> Tensor:
        """Return the image with that id as people see it: uint8 RGB ``[3, H, W]``; of other channels the first three, or one.

        Raises:
            KeyError: no image has that id.
            DataError: the image cannot be read.
        """
        return as_shown(self._checked_image(self.records[self.index_of(image_id)]))

    def _image(self, record: Record) -> Tensor:
        assert self.image_root is not None, f"{type(self).__name__} has no folder of images and must override _image"
        return self.form.read(self.image_root / record.file_name)

    def _checked_image(self, record: Record) -> Tensor:
        image = self._image(record)
        fault = size_fault((record.height, record.width), (image.shape[-2], image.shape[-1]))
        if fault:
            raise DataError(f"{self.info.name}: {record.file_name}: {fault}")
        if len(image) != self.form.channels:
            raise DataError(
                f"{self.info.name}: {record.file_name}: expected {self.form.channels} channel(s), as many as "
                f"MODEL.INPUT.PIXEL_MEAN has numbers; the data set gives {len(image)}"
            )
        return image


def _counted(records: Iterable[Record], empty_images: str, faults: Faults) -> Iterable[Record]:
    """Pass on the records that are wanted and let ``faults`` know of the others."""
    for record in records:
        if len(record.boxes) == 0 and empty_images == "drop":
            faults.count("images without boxes (EMPTY_IMAGES: drop)")
        else:
            yield record


def _sample(record: Record, image: Tensor) -> Sample:
    size = (record.height, record.width)
    boxes, labels, ignore = (torch.from_numpy(array) for array in (record.boxes, record.labels, record.ignore))
    return Sample(
        image=Image(image),
        boxes=BoundingBoxes(boxes.clone(), format=BoundingBoxFormat.XYXY, canvas_size=size),
        labels=labels,
        ignore=ignore,
        image_id=record.image_id,
        file_name=record.file_name,
        original_size=size,
        original=Annotations(boxes, labels.clone(), ignore.clone()),
        original_areas=torch.from_numpy(record.areas),
    )
