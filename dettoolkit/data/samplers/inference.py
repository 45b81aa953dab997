"""InferenceSampler: each image once, over all processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from dettoolkit.data.samplers.stream import StreamItem
from dettoolkit.distributed.sharding import shard_indices


class InferenceSampler:
    """The batches of one process: its run of neighbouring images, in the order of the data set.

    Args:
        num_images: of the whole data set.
        batch_size: images of a batch of one process; the last one may be smaller.
        rank: which process, 0..world_size - 1.
        world_size: of how many; those past the number of images get no batch.
        num_views: how many views each image of the data set has; None: one. They follow each other, and may be in two batches.

    Raises:
        ValueError: ``batch_size`` is below 1, or ``rank`` no process.
    """

    def __init__(
        self, num_images: int, batch_size: int, rank: int = 0, world_size: int = 1, num_views: Sequence[int] | None = None
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"expected batch_size >= 1, got {batch_size}")
        self.batch_size = batch_size
        self.indices = shard_indices(num_images, rank, world_size)
        self.num_views = num_views

    def __len__(self) -> int:
        count = len(self.indices) if self.num_views is None else sum(self.num_views[index] for index in self.indices)
        return -(-count // self.batch_size)

    def __iter__(self) -> Iterator[list[StreamItem]]:
        views = self.num_views
        items = (
            StreamItem(index, 0, index, view) for index in self.indices for view in range(1 if views is None else views[index])
        )
        while batch := list(islice(items, self.batch_size)):
            yield batch
