from __future__ import annotations

import pytest

from dettoolkit.distributed import merge_shards, shard_indices


@pytest.mark.parametrize("num_items", [0, 1, 7, 8, 100])
@pytest.mark.parametrize("num_shards", [1, 2, 3, 8])
def test_each_item_is_in_one_shard_and_the_order_comes_back(num_items: int, num_shards: int) -> None:
    shards = [shard_indices(num_items, shard, num_shards) for shard in range(num_shards)]
    assert merge_shards(shards) == list(range(num_items))
    sizes = [len(shard) for shard in shards]
    assert max(sizes) - min(sizes) <= 1


def test_one_process_has_all_items() -> None:
    assert list(shard_indices(3)) == [0, 1, 2]


@pytest.mark.parametrize("arguments", [(5, 2, 2), (5, -1, 2), (-1, 0, 1)])
def test_a_shard_that_is_not_there_is_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(
        ValueError, match="0 <= shard < num_shards, got " + f"{arguments[0]}, {arguments[1]} and {arguments[2]}"
    ):
        shard_indices(*arguments)
