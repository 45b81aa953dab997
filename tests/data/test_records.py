from __future__ import annotations

import pickle

import numpy as np
import pytest

from dettoolkit.data.records import Record, RecordArray


def record(image_id: int | str, count: int, file_name: str = "a.jpg") -> Record:
    generator = np.random.default_rng(count)
    return Record(
        image_id,
        file_name,
        height=480,
        width=640,
        boxes=generator.random((count, 4), dtype=np.float32),
        labels=generator.integers(0, 1 << 40, count),
        ignore=generator.random(count) < 0.5,
        areas=generator.random(count, dtype=np.float32),
    )


def assert_same(one: Record, other: Record) -> None:
    assert (one.image_id, one.file_name, one.height, one.width) == (other.image_id, other.file_name, other.height, other.width)
    for name in ("boxes", "labels", "ignore", "areas"):
        first, second = getattr(one, name), getattr(other, name)
        assert first.dtype == second.dtype
        assert np.array_equal(first, second)


RECORDS = [record(7, 3), record("seven", 0, "ordner/größe 象.png"), record(-1, 1, "caf\udce9.jpg"), record(9, 100)]


def test_records_come_back_as_they_went_in() -> None:
    array = RecordArray(iter(RECORDS))

    assert len(array) == 4
    for found, expected in zip(array, RECORDS, strict=True):
        assert_same(found, expected)
    assert_same(array[-1], RECORDS[-1])
    assert [found.image_id for found in array[1:3]] == ["seven", -1]


def test_an_index_past_the_end_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        RecordArray(RECORDS)[4]


def test_sizes_and_numbers_of_boxes_are_there_without_reading_records() -> None:
    array = RecordArray(RECORDS)

    assert array.sizes.dtype == np.int32
    assert array.sizes.tolist() == [[480, 640]] * 4
    assert array.num_boxes.tolist() == [3, 0, 1, 100]


def test_no_records_are_an_array_too() -> None:
    array = RecordArray([])

    assert len(array) == 0
    assert array.sizes.shape == (0, 2)
    assert list(array) == []


def test_writing_to_a_record_changes_nothing_in_the_array() -> None:
    array = RecordArray(RECORDS)

    array[0].boxes[:] = -1

    assert_same(array[0], RECORDS[0])


def test_records_survive_pickling_as_under_spawn() -> None:
    array = pickle.loads(pickle.dumps(RecordArray(RECORDS)))

    for found, expected in zip(array, RECORDS, strict=True):
        assert_same(found, expected)


def test_a_thousand_records_are_a_handful_of_objects() -> None:
    # reference counts of Python objects are what makes forked workers copy memory
    array = RecordArray(record(index, 5) for index in range(1000))

    values = list(vars(array).values())

    assert len(values) == 4
    assert all(hasattr(value, "dtype") for value in values)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a\.jpg: 1 boxes, but"):
        Record(1, "a.jpg", 2, 2, boxes=np.zeros((1, 4)), labels=np.zeros(2), ignore=np.zeros(1), areas=np.zeros(1))
