"""Which process looks at which item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from dettoolkit.distributed.collectives import rank, world_size

T = TypeVar("T")


def shard_indices(num_items: int, shard: int | None = None, num_shards: int | None = None) -> range:
    """Return the items of one process in an evaluation: a run of neighbours; every item belongs to exactly one process.

    Shards differ by at most one item and may be empty, so that nothing is padded and no image counts twice.

    Args:
        num_items: how many there are in all.
        shard: which part; this process's rank when left out.
        num_shards: of how many; the number of processes when left out.

    Raises:
        ValueError: ``shard`` is not in ``0..num_shards - 1``, or a number is negative.
    """
    shard = rank() if shard is None else shard
    num_shards = world_size() if num_shards is None else num_shards
    if num_items < 0 or not 0 <= shard < num_shards:
        raise ValueError(f"expected num_items >= 0 and 0 <= shard < num_shards, got {num_items}, {shard} and {num_shards}")
    return range(num_items * shard // num_shards, num_items * (shard + 1) // num_shards)


def merge_shards(shards: Sequence[Sequence[T]]) -> list[T]:
    """Return the items of all processes in their first order, from what :func:`gather_objects` gives process 0."""
    return [item for shard in shards for item in shard]
