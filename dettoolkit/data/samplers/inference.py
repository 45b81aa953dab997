"""InferenceSampler: each image once, over all processes."""

from __future__ import annotations

from collections.abc import Iterator

from dettoolkit.data.samplers.stream import StreamItem
from dettoolkit.distributed.sharding import shard_indices


class InferenceSampler:
    """The batches of one process: its run of neighbouring images, in the order of the data set.

    Args:
        num_images: of the whole data set.
        batch_size: images of a batch of one process; the last one may be smaller.
        rank: which process, 0..world_size - 1.
        world_size: of how many; those past the number of images get no batch.

    Raises:
        ValueError: ``batch_size`` is below 1, or ``rank`` no process.
    """

    def __init__(self, num_images: int, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        if batch_size < 1:
            raise ValueError(f"expected batch_size >= 1, got {batch_size}")
        self.batch_size = batch_size
        self.indices = shard_indices(num_images, rank, world_size)

    def __len__(self) -> int:
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[list[StreamItem]]:
        for start in range(0, len(self.indices), self.batch_size):
            yield [StreamItem(index, 0, index) for index in self.indices[start : start + self.batch_size]]
