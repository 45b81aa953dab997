import itertools
import logging
from collections import Counter

import numpy as np
import pytest

from dettoolkit.data.records import Record, RecordArray
from dettoolkit.data.samplers import RepeatFactorSampler, StreamItem
from dettoolkit.data.samplers.repeat_factor import repeat_factors
from dettoolkit.errors import ConfigError
from dettoolkit.registry import SAMPLERS


def record(labels, ignore=None, size=(10, 20)):
    count = len(labels)
    boxes = np.tile(np.array([0, 0, 4, 4], np.float32), (count, 1))
    return Record("id", "a.png", *size, boxes, labels, [False] * count if ignore is None else ignore, [16.0] * count)


def array(*labels):
    return RecordArray(record(each) for each in labels)


# 16 images; class 0 in 12, class 1 in 4, class 2 in 1, and one image without objects
IMAGES = array(*[[0, 0]] * 11, [0, 1], [1], [1], [1, 2], [])


def sampler(images=IMAGES, batch_size=4, seed=0, **options):
    return RepeatFactorSampler(images.sizes, batch_size, seed, images, **options)


def take(sampler, count, start=0):
    return list(itertools.islice(sampler.batches(start), count))


def test_factors_are_those_of_the_formula():
    # t = 1: f = 12/16, 4/16, 1/16, so that r = sqrt(16/12), sqrt(4) = 2, sqrt(16) = 4; the largest of an image counts
    wanted = [np.sqrt(16 / 12)] * 11 + [2, 2, 2, 4, 1]
    assert repeat_factors(IMAGES, 1.0) == pytest.approx(wanted)
    # t = 1/4: only class 2 is rarer: sqrt(0.25 * 16) = 2
    assert repeat_factors(IMAGES, 0.25) == pytest.approx([1] * 14 + [2, 1])
    assert repeat_factors(IMAGES, 0.001).tolist() == [1] * 16


def test_boxes_to_be_ignored_show_no_class():
    images = RecordArray([record([0]), record([0, 1], [False, True]), record([0]), record([0])])
    assert repeat_factors(images, 1.0).tolist() == [1, 1, 1, 1]
    assert repeat_factors(RecordArray([record([0], [True])]), 1.0).tolist() == [1]


def test_an_epoch_has_the_sum_of_the_factors_and_each_image_its_own():
    stream = sampler(threshold=1.0, batch_size=1)
    total = 11 * np.sqrt(16 / 12) + 3 * 2 + 4 + 1  # 23.70
    assert stream.images_per_epoch == stream.batches_per_epoch == 24
    epochs = [Counter(item.index for batch in take(stream, 24, 24 * epoch) for item in batch) for epoch in range(400)]
    mean = np.array([[epoch[index] for index in range(16)] for epoch in epochs]).mean(axis=0)
    # 0.5 / sqrt(400) = 0.025 is the largest deviation of such a mean
    assert mean == pytest.approx(repeat_factors(IMAGES, 1.0) * 24 / total, abs=5 * 0.025)
    assert len({tuple(sorted(epoch.elements())) for epoch in epochs}) > 50  # which of the eleven come twice is drawn anew


def test_weights_of_sets_multiply():
    weights = np.array([1.0] * 15 + [5.0])
    stream = sampler(threshold=0.25, batch_size=1, image_weights=weights)
    epoch = Counter(item.index for batch in take(stream, 21) for item in batch)
    assert epoch == Counter([*range(14), 14, 14, *[15] * 5])


MIXED = RecordArray(
    [record([0], size=(10, 20))] * 17 + [record([0], size=(20, 10))] * 9 + [record([1], size=(20, 10)), record([2])]
)


@pytest.mark.parametrize("start", [1, 2, 7, 11, 12, 40, 75])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 50])
def test_entering_at_a_batch_gives_the_stream_that_was_never_stopped(batch_size, start):
    stream = sampler(MIXED, batch_size, 3, threshold=1.0)
    assert take(stream, 20, start) == take(stream, start + 20)[start:]


def test_two_samplers_of_the_same_arguments_give_the_same_stream():
    assert take(sampler(MIXED, threshold=1.0), 30) == take(sampler(MIXED, threshold=1.0), 30)
    assert take(sampler(MIXED, threshold=1.0), 30) != take(sampler(MIXED, threshold=1.0, seed=1), 30)


def test_repeated_images_have_places_of_their_own_and_batches_one_orientation():
    batches = take(sampler(MIXED, threshold=1.0), 60)
    items = [item for batch in batches for item in batch]
    assert all(isinstance(item, StreamItem) for item in items)
    assert len({item.position for item in items}) == len(items)
    for batch in batches:
        assert len({bool(MIXED.sizes[item.index][1] > MIXED.sizes[item.index][0]) for item in batch}) == 1


def test_a_stream_is_continued_under_the_same_threshold_and_annotations():
    settings = sampler(threshold=1.0).settings
    assert settings == sampler(threshold=1.0).settings
    assert settings != sampler(threshold=0.5).settings
    other = array(*[[0, 0]] * 10, [0, 2], [0, 1], [1], [1], [1, 2], [])
    assert settings != sampler(other, threshold=1.0).settings


def test_a_threshold_below_all_classes_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING, "dettoolkit"):
        stream = sampler(threshold=0.01)
    assert "no class is in fewer than 0.01 of the images: nothing is repeated" in caplog.text
    assert stream.images_per_epoch == 16


def test_it_is_built_from_a_config_node():
    wired = {"sizes": IMAGES.sizes, "batch_size": 4, "seed": 0, "records": IMAGES, "image_weights": None}
    stream = SAMPLERS.build({"NAME": "RepeatFactorSampler", "THRESHOLD": 1}, "DATALOADER.SAMPLER", **wired)
    assert stream.threshold == 1.0
    for value in (0, 1.5):
        with pytest.raises(ConfigError, match=r"DATALOADER.SAMPLER.THRESHOLD: expected float > 0 and <= 1"):
            SAMPLERS.build({"NAME": "RepeatFactorSampler", "THRESHOLD": value}, "DATALOADER.SAMPLER", **wired)
