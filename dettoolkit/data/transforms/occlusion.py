"""Occlusion: what remains visible of objects that pieces of other images cover."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from dettoolkit.data.transforms.cut import size_of
from dettoolkit.structures import Sample


class Occlusion:
    """Layers over an image; each hides what lies below, and none hides anything of itself.

    Args:
        sample: the lowest layer.
    """

    def __init__(self, sample: Sample) -> None:
        self._top = np.zeros(size_of(sample), np.int32)  # which layer is seen at each pixel
        self._boxes = [sample["boxes"].as_subclass(Tensor)]
        self._labels, self._ignore = [sample["labels"]], [sample["ignore"]]

    def cover(self, piece: Sample, left: int, top: int) -> None:
        """Lay a piece over everything, with its left upper corner at a column and a row; it lies inside the image."""
        height, width = size_of(piece)
        self._top[top : top + height, left : left + width] = len(self._boxes)
        boxes = piece["boxes"].as_subclass(Tensor)
        self._boxes.append(boxes + boxes.new_tensor([left, top, left, top]))
        self._labels.append(piece["labels"])
        self._ignore.append(piece["ignore"])

    def visible(self, min_visible: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes ``[G, 4]``, labels ``[G]`` and ignore ``[G]`` of what is seen.

        Objects are shortened to what is seen of them; those of which less than a share is seen, or nothing, go. Ignore
        regions stay as they are, covered or not.

        Args:
            min_visible: 0..1, share of an object's pixels in its own layer.
        """
        rows: list[list[float]] = []
        stays: list[bool] = []
        for layer, (boxes, ignored) in enumerate(zip(self._boxes, self._ignore, strict=True)):
            for box, ignore in zip(boxes.tolist(), ignored.tolist(), strict=True):
                seen, share = (box, 1.0) if ignore else self._seen(box, layer)
                rows.append(seen)
                stays.append(ignore or (share > 0 and share >= min_visible))
        kept = torch.tensor(stays, dtype=torch.bool)
        boxes = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
        return boxes[kept], torch.cat(self._labels)[kept], torch.cat(self._ignore)[kept]

    def _seen(self, box: list[float], layer: int) -> tuple[list[float], float]:
        """Return the part of a box that its layer shows, and which share of its pixels that is."""
        height, width = self._top.shape
        left, top = max(0, math.floor(box[0])), max(0, math.floor(box[1]))
        right, bottom = min(width, math.ceil(box[2])), min(height, math.ceil(box[3]))
        shown = self._top[top:bottom, left:right] == layer
        count = int(np.count_nonzero(shown))
        if count == 0:
            return box, 0.0
        if count == shown.size:
            return box, 1.0
        rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
        # fractions of a pixel stay on the sides that are seen
        seen = [
            max(box[0], left + int(columns[0])),
            max(box[1], top + int(rows[0])),
            min(box[2], left + int(columns[-1]) + 1),
            min(box[3], top + int(rows[-1]) + 1),
        ]
        return seen, count / shown.size
