import itertools
from collections import Counter

import numpy as np
import pytest

from dettoolkit.data.samplers import StreamItem, TrainingSampler
from dettoolkit.errors import ConfigError, DataError
from dettoolkit.registry import SAMPLERS

WIDE, TALL, SQUARE = (10, 20), (20, 10), (10, 10)


def sizes(*groups):
    return np.array([size for size, count in groups for _ in range(count)], dtype=np.int32)


def take(sampler, count, start=0):
    return list(itertools.islice(sampler.batches(start), count))


MIXED = sizes((WIDE, 13), (TALL, 7), (SQUARE, 4))


@pytest.mark.parametrize("start", [1, 2, 5, 6, 7, 23, 60])
@pytest.mark.parametrize(
    ("images", "batch_size"),
    [(MIXED, 4), (MIXED, 5), (MIXED, 11), (sizes((WIDE, 3)), 8), (sizes((WIDE, 1)), 3), (sizes((WIDE, 9), (TALL, 2)), 4)],
)
def test_entering_at_a_batch_gives_the_stream_that_was_never_stopped(images, batch_size, start):
    sampler = TrainingSampler(images, batch_size, seed=3)
    assert take(sampler, 20, start) == take(sampler, start + 20)[start:]


def test_a_batch_holds_images_of_one_orientation_and_square_ones_count_as_tall():
    sampler = TrainingSampler(MIXED, 4, seed=0)
    for batch in take(sampler, 100):
        assert len(batch) == 4
        assert len({bool(MIXED[item.index][1] > MIXED[item.index][0]) for item in batch}) == 1


def test_grouping_loses_and_repeats_no_image_beyond_what_it_carries_on():
    sampler = TrainingSampler(MIXED, 5, seed=1)
    items = [item for batch in take(sampler, 48) for item in batch]  # 240 items: 10 epochs of 24
    assert len({item.position for item in items}) == len(items)
    by_epoch = {epoch: Counter(item.index for item in items if item.epoch == epoch) for epoch in range(11)}
    assert all(max(counts.values(), default=1) == 1 for counts in by_epoch.values())
    # at most 4 of each of the two groups wait at any time, so the 8 epochs before those at the end are complete
    assert all(len(by_epoch[epoch]) == 24 for epoch in range(8))


def test_positions_follow_the_shuffled_stream_whatever_the_batch_size():
    # the place of an image, and so its augmentation, is the same for both batch sizes
    places = []
    for batch_size in (4, 6):
        items = [item for batch in take(TrainingSampler(MIXED, batch_size, seed=2), 48 // batch_size) for item in batch]
        places.append({(item.epoch, item.index): item.position for item in items})
        assert all(item.position // 24 == item.epoch for item in items)
    shared = places[0].keys() & places[1].keys()
    assert len(shared) >= 48 - 2 * (3 + 5)
    assert all(places[0][key] == places[1][key] for key in shared)


def test_batches_come_in_the_order_in_which_they_fill_up():
    sampler = TrainingSampler(MIXED, 4, seed=5)
    last = [batch[-1].position for batch in take(sampler, 60)]
    assert last == sorted(last)


def test_hand_worked_stream_without_shuffling():
    # images 0, 1, 4 are wide and 2, 3 not; batches of 2. Epoch 0: [0 1] fills at 1, [2 3] at 3, 4 waits.
    # Epoch 1: 0 joins it, 1 and 4 make a batch, [2 3] fills in between.
    images = np.array([WIDE, WIDE, TALL, TALL, WIDE], dtype=np.int32)
    sampler = TrainingSampler(images, 2, seed=0, shuffle=False)
    assert [[item.index for item in batch] for batch in take(sampler, 5)] == [[0, 1], [2, 3], [4, 0], [2, 3], [1, 4]]
    assert take(sampler, 3)[2] == [StreamItem(4, 0, 4), StreamItem(0, 1, 5)]


def test_a_group_smaller_than_a_batch_joins_the_other():
    sampler = TrainingSampler(sizes((WIDE, 9), (TALL, 1)), 4, seed=0)
    items = [item.index for batch in take(sampler, 5) for item in batch]
    assert Counter(items) == Counter(list(range(10)) * 2)


def test_fewer_images_than_a_batch_repeat_over_epochs():
    batches = take(TrainingSampler(sizes((WIDE, 3)), 7, seed=0), 3)
    assert Counter(item.index for batch in batches for item in batch) == {0: 7, 1: 7, 2: 7}


def test_without_grouping_an_epoch_is_one_permutation():
    sampler = TrainingSampler(MIXED, 8, seed=0, aspect_grouping=False)
    epochs = [[item.index for batch in take(sampler, 3, start) for item in batch] for start in (0, 3)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(24))
    assert epochs[0] != epochs[1]


def test_seeds_give_different_orders():
    assert take(TrainingSampler(MIXED, 4, seed=0), 6) != take(TrainingSampler(MIXED, 4, seed=1), 6)


def test_the_global_random_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    take(TrainingSampler(MIXED, 4, seed=0), 20)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_an_epoch_has_as_many_batches_as_show_every_image():
    assert TrainingSampler(MIXED, 5, seed=0).batches_per_epoch == 5  # 24 / 5 = 4.8
    assert TrainingSampler(MIXED, 8, seed=0).batches_per_epoch == 3
    assert TrainingSampler(MIXED, 100, seed=0).batches_per_epoch == 1


def test_no_images_and_impossible_numbers_are_refused():
    with pytest.raises(DataError, match="there are no images to train on"):
        TrainingSampler(np.zeros((0, 2), np.int32), 4, seed=0)
    with pytest.raises(ValueError, match="expected batch_size >= 1 and seed >= 0, got 0 and 0"):
        TrainingSampler(MIXED, 0, seed=0)


def test_it_is_built_from_a_config_node():
    node = {"NAME": "TrainingSampler", "ASPECT_GROUPING": False}
    sampler = SAMPLERS.build(node, "DATALOADER.SAMPLER", sizes=MIXED, batch_size=4, seed=0)
    assert sampler.aspect_grouping is False
    with pytest.raises(ConfigError, match=r"DATALOADER.SAMPLER.ASPECT_GROUPNG.*Did you mean 'ASPECT_GROUPING'"):
        SAMPLERS.build(
            {"NAME": "TrainingSampler", "ASPECT_GROUPNG": False}, "DATALOADER.SAMPLER", sizes=MIXED, batch_size=4, seed=0
        )


WEIGHTS = np.linspace(0.2, 2.6, 24)  # of MIXED; together 33.6


@pytest.mark.parametrize("start", [1, 5, 8, 9, 33, 60])
@pytest.mark.parametrize("batch_size", [1, 4, 5, 40])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_weighted_stream_can_be_entered_too(batch_size, start, shuffle):
    sampler = TrainingSampler(MIXED, batch_size, seed=3, shuffle=shuffle, image_weights=WEIGHTS)
    assert take(sampler, 20, start) == take(sampler, start + 20)[start:]


def test_a_weighted_epoch_has_as_many_items_as_its_images_have_weights():
    sampler = TrainingSampler(MIXED, 1, seed=0, aspect_grouping=False, image_weights=WEIGHTS)
    assert sampler.images_per_epoch == sampler.batches_per_epoch == 34
    epochs = [Counter(item.index for batch in take(sampler, 34, 34 * epoch) for item in batch) for epoch in range(300)]
    mean = np.array([[epoch[index] for index in range(24)] for epoch in epochs]).mean(axis=0)
    assert mean == pytest.approx(WEIGHTS * 34 / 33.6, abs=5 * 0.5 / np.sqrt(300))  # a mean of draws that differ by 1 at most


def test_weights_of_one_change_no_image_s_number_and_are_part_of_the_settings():
    weighted = TrainingSampler(MIXED, 4, seed=0, aspect_grouping=False, image_weights=np.ones(24))
    assert Counter(item.index for batch in take(weighted, 12) for item in batch) == Counter(list(range(24)) * 2)
    plain = TrainingSampler(MIXED, 4, seed=0, aspect_grouping=False).settings
    assert set(plain) == {"images", "batch_size", "seed", "shuffle", "aspect_grouping"}  # as in checkpoints until now
    other = TrainingSampler(MIXED, 4, seed=0, aspect_grouping=False, image_weights=np.full(24, 2.0)).settings
    assert len({tuple(settings.items()) for settings in (plain, weighted.settings, other)}) == 3
