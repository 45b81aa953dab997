"""TrainingSampler: the endless stream of training images, in global batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dettoolkit.data.samplers.stream import StreamItem
from dettoolkit.errors import DataError
from dettoolkit.registry import SAMPLERS


@SAMPLERS.register()
class TrainingSampler:
    """Goes through the images again and again, each time in another order.

    The stream is a function of the constructor's arguments alone: every process sees the same one, and it can be entered
    at any batch without going through those before.

    Args:
        sizes: ``[len, 2]`` (height, width) of each image; wired.
        batch_size: images of a global batch, over all processes and micro-batches; wired.
        seed: of the shuffling, 0 or more; wired.
        shuffle: whether the order changes from epoch to epoch; otherwise it is that of the data set.
        aspect_grouping: whether a batch holds either wide images or others, never both, so that less of it is padding. Images
            left over when an epoch ends open the batches of the next one.

    Raises:
        DataError: there are no images.
        ValueError: ``batch_size`` is below 1, or ``seed`` negative.
    """

    def __init__(
        self, sizes: NDArray[np.int32], batch_size: int, seed: int, shuffle: bool = True, aspect_grouping: bool = True
    ) -> None:
        if len(sizes) == 0:
            raise DataError("there are no images to train on")
        if batch_size < 1 or seed < 0:
            raise ValueError(f"expected batch_size >= 1 and seed >= 0, got {batch_size} and {seed}")
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.aspect_grouping = aspect_grouping
        self._groups = (sizes[:, 1] > sizes[:, 0]).astype(np.int64)  # 1: wide
        # a group smaller than a batch would wait for epochs, and then show the same few images several times at once
        if not aspect_grouping or np.bincount(self._groups, minlength=2).min() < batch_size:
            self._groups[:] = 0
        self._group_sizes = np.bincount(self._groups).tolist()

    @property
    def batches_per_epoch(self) -> int:
        """How many global batches show each image about once: images by batch size, rounded up."""
        return -(-len(self._groups) // self.batch_size)

    @property
    def settings(self) -> dict[str, int | bool]:
        """All that the stream depends on, besides which images are wide; a stream is continued under the same settings."""
        return {
            "images": len(self._groups),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "shuffle": self.shuffle,
            "aspect_grouping": self.aspect_grouping,
        }

    def __iter__(self) -> Iterator[list[StreamItem]]:
        return self.batches()

    def batches(self, start: int = 0) -> Iterator[list[StreamItem]]:
        """Yield global batches without end, from number ``start`` on."""
        epoch = start * self.batch_size // len(self._groups)  # as late as possible without passing batch ``start``
        waiting = [self._waiting(group, epoch) for group in range(len(self._group_sizes))]
        skip = start - sum(epoch * size // self.batch_size for size in self._group_sizes)
        for current in itertools.count(epoch):
            batches, waiting = self._epoch(current, waiting)
            for batch in batches[skip:]:
                yield [StreamItem(*row) for row in batch.tolist()]
            skip = max(0, skip - len(batches))

    def _rows(self, epoch: int) -> NDArray[np.int64]:
        """Return the epoch's items in their order, ``[images, 3]`` of index, epoch, position."""
        count = len(self._groups)
        order = np.random.default_rng([self.seed, epoch]).permutation(count) if self.shuffle else np.arange(count)
        return np.stack([order, np.full(count, epoch), epoch * count + np.arange(count)], axis=1)

    def _waiting(self, group: int, epoch: int) -> NDArray[np.int64]:
        """Return the rows of a group that no batch has taken when ``epoch`` begins."""
        size = self._group_sizes[group]
        passed = epoch * size
        left = passed % self.batch_size
        epochs = [np.zeros((0, 3), np.int64), *(self._rows(e) for e in range((passed - left) // size, epoch))]
        rows = np.concatenate(epochs)
        rows = rows[self._groups[rows[:, 0]] == group]
        return rows[len(rows) - left :]

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
