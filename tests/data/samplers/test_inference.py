import pytest

from dettoolkit.data.samplers import InferenceSampler, StreamItem


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("num_images", [0, 1, 5, 16])
def test_each_image_comes_once_over_all_processes(num_images, world_size):
    samplers = [InferenceSampler(num_images, 3, rank, world_size) for rank in range(world_size)]
    batches = [list(sampler) for sampler in samplers]
    assert [len(of_rank) for of_rank in batches] == [len(sampler) for sampler in samplers]
    assert all(1 <= len(batch) <= 3 for of_rank in batches for batch in of_rank)
    assert [item.index for of_rank in batches for batch in of_rank for item in batch] == list(range(num_images))


def test_the_last_batch_may_be_smaller():
    assert list(InferenceSampler(3, 2)) == [[StreamItem(0, 0, 0), StreamItem(1, 0, 1)], [StreamItem(2, 0, 2)]]


def test_an_empty_batch_size_is_refused():
    with pytest.raises(ValueError, match="expected batch_size >= 1, got 0"):
        InferenceSampler(3, 0)
