"""TrainingSampler: the endless stream of training images, in global batches."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dettoolkit.data.samplers.repeats import drawn, items_by_group
from dettoolkit.data.samplers.stream import StreamItem
from dettoolkit.errors import DataError
from dettoolkit.registry import SAMPLERS


@SAMPLERS.register()
class TrainingSampler:
    """Goes through the images again and again, each time in another order.

    The stream is a function of the constructor's arguments alone: every process sees the same one, and it can be entered
    at any batch without going through those before.

    Where ``DATASETS.MIX`` gives sets weights, an epoch has as many items as its images have weights together, rounded. An
    image of weight 2.3 comes in each epoch twice or three times, drawn anew so that it is 2.3 times on average.

    Args:
        sizes: ``[len, 2]`` (height, width) of each image; wired.
        batch_size: images of a global batch, over all processes and micro-batches; wired.
        seed: of the shuffling, 0 or more; wired.
        shuffle: whether the order changes from epoch to epoch; otherwise it is that of the data set.
        aspect_grouping: whether a batch holds either wide images or others, never both, so that less of it is padding. Images
            left over when an epoch ends open the batches of the next one.
        image_weights: ``[len]`` float64, above 0, how often each image comes in an epoch; None: once; wired.

    Raises:
        DataError: there are no images.
        ValueError: ``batch_size`` is below 1, or ``seed`` negative.
    """

    def __init__(
        self,
        sizes: NDArray[np.int32],
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        aspect_grouping: bool = True,
        image_weights: NDArray[np.float64] | None = None,
    ) -> None:
        if len(sizes) == 0:
            raise DataError("there are no images to train on")
        if batch_size < 1 or seed < 0:
            raise ValueError(f"expected batch_size >= 1 and seed >= 0, got {batch_size} and {seed}")
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.aspect_grouping = aspect_grouping
        self.image_weights = image_weights
        self._groups = (sizes[:, 1] > sizes[:, 0]).astype(np.int64)  # 1: wide
        # a group smaller than a batch would wait for epochs, and then show the same few images several times at once
        if not aspect_grouping or min(items_by_group(self._groups, 2, image_weights)) < batch_size:
            self._groups[:] = 0
        self._group_sizes = items_by_group(self._groups, int(self._groups.max()) + 1, image_weights)

    @property
    def images_per_epoch(self) -> int:
        """How many items an epoch has: the images, each as often as it comes."""
        return sum(self._group_sizes)

    @property
    def batches_per_epoch(self) -> int:
        """How many global batches an epoch fills: items by batch size, rounded up."""
        return -(-self.images_per_epoch // self.batch_size)

    @property
    def settings(self) -> dict[str, Any]:
        """All that the stream depends on, besides which images are wide; a stream is continued under the same settings."""
        settings = {
            "images": len(self._groups),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "aspect_grouping": self.aspect_grouping,
        }
        if self.image_weights is not None:
            settings["checksum of how often each image comes"] = zlib.crc32(self.image_weights.astype("<f8").tobytes())
        return settings

    def __iter__(self) -> Iterator[list[StreamItem]]:
        return self.batches()

    def batches(self, start: int = 0) -> Iterator[list[StreamItem]]:
        """Yield global batches without end, from number ``start`` on."""
        epoch = start * self.batch_size // self.images_per_epoch  # as late as possible without passing batch ``start``
        passed = self._passed(epoch)
        waiting = [self._waiting(group, epoch, items % self.batch_size) for group, items in enumerate(passed)]
        skip = start - sum(items // self.batch_size for items in passed)
        for current in itertools.count(epoch):
            batches, waiting = self._epoch(current, waiting)
            for batch in batches[skip:]:
                yield [StreamItem(*row) for row in batch.tolist()]
            skip = max(0, skip - len(batches))

    def _order(self, epoch: int) -> NDArray[np.int64]:
        """Return the images of an epoch in their order, ``images_per_epoch`` indices."""
        random = np.random.default_rng([self.seed, epoch])
        count = len(self._groups)
        if self.image_weights is None:
            return random.permutation(count) if self.shuffle else np.arange(count)
        members = (np.flatnonzero(self._groups == group) for group in range(len(self._group_sizes)))
        items = [
            of_group[drawn(self.image_weights[of_group], size, random)]
            for of_group, size in zip(members, self._group_sizes, strict=True)
        ]
        return random.permutation(np.concatenate(items)) if self.shuffle else np.sort(np.concatenate(items))

    def _passed(self, epoch: int) -> list[int]:
        """Return how many items of each group come before ``epoch``."""
        return [epoch * size for size in self._group_sizes]

    def _rows(self, epoch: int) -> NDArray[np.int64]:
        """Return the epoch's items in their order, ``[items, 3]`` of index, epoch, position."""
        order = self._order(epoch)
        count = len(order)
        return np.stack([order, np.full(count, epoch), epoch * count + np.arange(count)], axis=1)

    def _waiting(self, group: int, epoch: int, count: int) -> NDArray[np.int64]:
        """Return the last ``count`` rows of a group before ``epoch``: those that no batch has taken when it begins."""
        rows = np.zeros((0, 3), np.int64)
        while len(rows) < count:
            epoch -= 1
            earlier = self._rows(epoch)
            rows = np.concatenate([earlier[self._groups[earlier[:, 0]] == group], rows])
        return rows[len(rows) - count :]

    def _epoch(self, epoch: int, waiting: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
        """Return the epoch's batches ``[B, batch_size, 3]`` in the order they fill up in, and what each group has left."""
        rows = self._rows(epoch)
        groups = self._groups[rows[:, 0]]
        full, left = [], []
        for group, held in enumerate(waiting):
            queue = np.concatenate([held, rows[groups == group]])
            end = len(queue) - len(queue) % self.batch_size
            full.append(queue[:end].reshape(-1, self.batch_size, 3))
            left.append(queue[end:])
        batches = np.concatenate(full)
        return batches[np.argsort(batches[:, -1, 2])], left
