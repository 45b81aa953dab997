import itertools
import logging
from collections import Counter

import numpy as np
import pytest

from dettoolkit.data.records import Record, RecordArray
from dettoolkit.data.samplers import ClassAwareSampler
from dettoolkit.errors import DataError
from dettoolkit.registry import SAMPLERS


def record(labels, size=(10, 20)):
    count = len(labels)
    boxes = np.tile(np.array([0, 0, 4, 4], np.float32), (count, 1))
    return Record("id", "a.png", *size, boxes, labels, [False] * count, [16.0] * count)


# class 0 in images 0..11, class 3 in 12..14, class 5 in 15; 16 and 17 have no object; no image shows two classes
IMAGES = RecordArray([*[record([0, 0])] * 12, *[record([3])] * 3, record([5]), record([]), record([])])
MIXED = RecordArray(
    [*[record([0])] * 17, *[record([0], (20, 10))] * 9, *[record([1], (20, 10))] * 2, record([1, 2]), record([2], (20, 10))]
)


def sampler(images=IMAGES, batch_size=1, seed=0, **options):
    return ClassAwareSampler(images.sizes, batch_size, seed, images, **options)


def take(sampler, count, start=0):
    return list(itertools.islice(sampler.batches(start), count))


def test_classes_come_equally_often_and_their_images_too():
    stream = sampler()
    assert stream.images_per_epoch == 18
    for epoch in range(30):
        found = Counter(item.index for batch in take(stream, 18, 18 * epoch) for item in batch)
        # 18 items for three classes: 6 each. Class 0 has 12 images: 6 of them; class 3 has 3: each twice
        assert sorted(found[index] for index in range(12)) == [0] * 6 + [1] * 6
        assert [found[index] for index in range(12, 18)] == [2, 2, 2, 6, 0, 0]


def test_all_images_of_a_frequent_class_come_in_time():
    seen = {item.index for batch in take(sampler(), 18 * 40) for item in batch}
    assert seen == set(range(16))  # 6 of 12 in each of 40 epochs: one is missed with probability 12 / 2 ** 40


def test_a_number_that_cannot_be_divided_differs_by_one():
    images = RecordArray([*[record([0])] * 3, record([1]), record([2])])
    for epoch in range(20):
        found = Counter(item.index for batch in take(sampler(images), 5, 5 * epoch) for item in batch)
        assert sorted([found[0] + found[1] + found[2], found[3], found[4]]) == [1, 2, 2]


def test_weights_say_how_often_an_image_comes_among_those_of_its_class():
    weights = np.array([1.0] * 12 + [1.0, 1.0, 4.0] + [7.0, 9.0, 9.0])
    found = Counter(item.index for batch in take(sampler(image_weights=weights), 18) for item in batch)
    assert [found[index] for index in range(12, 18)] == [1, 1, 4, 6, 0, 0]


@pytest.mark.parametrize("start", [1, 2, 7, 12, 40, 75])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 50])
@pytest.mark.parametrize("grouping", [True, False])
def test_entering_at_a_batch_gives_the_stream_that_was_never_stopped(batch_size, start, grouping):
    stream = sampler(MIXED, batch_size, 3, aspect_grouping=grouping)
    assert take(stream, 20, start) == take(stream, start + 20)[start:]


def test_places_differ_and_a_batch_has_one_orientation():
    batches = take(sampler(MIXED, 4), 60)
    items = [item for batch in batches for item in batch]
    assert len({item.position for item in items}) == len(items)
    for batch in batches:
        assert len({bool(MIXED.sizes[item.index][1] > MIXED.sizes[item.index][0]) for item in batch}) == 1


def test_a_stream_is_continued_under_the_same_annotations():
    assert sampler().settings == sampler().settings
    assert sampler().settings != sampler(RecordArray([*[record([0])] * 18])).settings


def test_what_it_does_is_logged(caplog):
    with caplog.at_level(logging.INFO, "dettoolkit"):
        sampler()
    assert "3 classes; an image comes up to 6.00 times in an epoch of 18; 2 images without objects never" in caplog.text


def test_images_without_any_object_are_refused():
    with pytest.raises(DataError, match="no image has an object, so there is no class to draw"):
        sampler(RecordArray([record([])]))


def test_it_is_built_from_a_config_node():
    wired = {"sizes": IMAGES.sizes, "batch_size": 4, "seed": 0, "records": IMAGES, "image_weights": None}
    assert SAMPLERS.build({"NAME": "ClassAwareSampler"}, "DATALOADER.SAMPLER", **wired).images_per_epoch == 18
