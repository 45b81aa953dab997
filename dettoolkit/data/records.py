"""Records: what a data set knows of its images, all of them in one tensor."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray

# a box takes 16 bytes, its label 8, its area 4, its ignore mark 1
BYTES_PER_BOX = 29


@dataclass
class Record:
    """One image and its annotations, without the pixels.

    Args:
        image_id: the id in the annotation file.
        file_name: the path as the data set names it, relative to the folder of the images.
        height: pixels, after orientation.
        width: pixels, after orientation.
        boxes: ``[G, 4]`` float32, absolute xyxy pixels.
        labels: ``[G]`` int64, 0..K-1.
        ignore: ``[G]`` bool; True marks a crowd region.
        areas: ``[G]`` float32, square pixels, as the annotation file gives them (COCO: of the segment).
    """

    image_id: int | str
    file_name: str
    height: int
    width: int
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignore: NDArray[np.bool_]
    areas: NDArray[np.float32]

    def __post_init__(self) -> None:
        self.boxes = np.asarray(self.boxes, dtype=np.float32).reshape(-1, 4)
        self.labels = np.asarray(self.labels, dtype=np.int64)
        self.ignore = np.asarray(self.ignore, dtype=np.bool_)
        self.areas = np.asarray(self.areas, dtype=np.float32)
        shapes = {array.shape for array in (self.labels, self.ignore, self.areas)}
        if shapes != {(len(self.boxes),)}:
            raise ValueError(
                f"{self.file_name}: {len(self.boxes)} boxes, but labels, ignore and areas of shapes {sorted(shapes)}"
            )


class RecordArray(Sequence[Record]):
    """Records serialised into one uint8 tensor.

    Python objects are copied into each forked worker as soon as their reference counts are touched; one tensor is not,
    and under the spawn start method PyTorch hands it over as shared memory.

    Args:
        records: any number of them; they are taken one by one and not kept.

    Attributes:
        sizes: int32 ``[len, 2]``, (height, width) of each image.
        num_boxes: int32 ``[len]``.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        data, ends, sizes, num_boxes = bytearray(), [0], [], []
        for record in records:
            head = json.dumps([record.image_id, record.file_name], ensure_ascii=False)
            data += head.encode("utf-8", "surrogateescape")
            for array in (record.boxes, record.labels, record.areas, record.ignore):
                data += array.tobytes()
            ends.append(len(data))
            sizes.append((record.height, record.width))
            num_boxes.append(len(record.boxes))
        # a bytearray cannot be shared between processes, its copy can
        self._data = torch.frombuffer(data, dtype=torch.uint8).clone() if data else torch.zeros(0, dtype=torch.uint8)
        self._ends = np.array(ends, dtype=np.int64)
        self.sizes = np.array(sizes, dtype=np.int32).reshape(-1, 2)
        self.num_boxes = np.array(num_boxes, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.num_boxes)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...

    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        """Return the record, or the list of records, at ``index``: fresh arrays that may be written to."""
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]  # negative indices, and IndexError past the end
        data = self._data.numpy()[self._ends[position] : self._ends[position + 1]].tobytes()
        count = int(self.num_boxes[position])
        start = len(data) - count * BYTES_PER_BOX
        image_id, file_name = json.loads(data[:start].decode("utf-8", "surrogateescape"))
        height, width = self.sizes[position].tolist()
        return Record(
            image_id,
            file_name,
            height,
            width,
            boxes=np.frombuffer(data, np.float32, 4 * count, start).reshape(count, 4).copy(),
            labels=np.frombuffer(data, np.int64, count, start + 16 * count).copy(),
            areas=np.frombuffer(data, np.float32, count, start + 24 * count).copy(),
            ignore=np.frombuffer(data, np.bool_, count, start + 28 * count).copy(),
        )

    def classes_by_image(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return (index, label) of each image and each class that it shows, in their order; boxes to be ignored show none.

        Read from the serialised form in some seconds for a million images; kept by nobody.
        """
        data = self._data.numpy()
        images, labels = [], []
        for index in np.flatnonzero(self.num_boxes):
            end, count = self._ends[index + 1], int(self.num_boxes[index])
            start = end - count * BYTES_PER_BOX + 16 * count
            shown = data[start : start + 8 * count].view(np.int64)[~data[end - count : end].view(np.bool_)]
            labels.append(np.unique(shown))
            images.append(np.full(len(labels[-1]), index, np.int64))
        none = [np.zeros(0, np.int64)]
        return np.concatenate(images or none), np.concatenate(labels or none)
