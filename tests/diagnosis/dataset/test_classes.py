from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.records import Record
from dettoolkit.diagnosis.dataset.classes import class_counts, class_findings
from dettoolkit.diagnosis.dataset.inspection import InspectedSet, from_records
from dettoolkit.structures import DatasetInfo


def of_counts(name: str, counts: dict[str, int], *uses: Any, crowds: int = 0) -> InspectedSet:
    """Return a set of one image with so many boxes of each class; the first ``crowds`` of them are crowd regions."""
    labels = np.repeat(np.arange(len(counts)), list(counts.values()))
    ignore = np.arange(len(labels)) < crowds
    arrays = (np.tile(np.array([[1, 1, 5, 5]], np.float32), (len(labels), 1)), labels, ignore, np.ones(len(labels)))
    # a set that has no box is what the check is to tell of
    dataset = DetectionDataset(DatasetInfo(name, tuple(counts)), [Record(1, "a.png", 9, 9, *arrays)])
    return from_records(dataset, frozenset(uses))


def found(*sets: InspectedSet) -> dict[str, list[str]]:
    return {finding.kind: [example.text for example in finding.examples] for finding in class_findings(sets)}


def test_boxes_are_counted_without_crowds() -> None:
    assert class_counts(of_counts("a", {"cat": 3, "dog": 2, "cow": 0}, crowds=1)).tolist() == [2, 2, 0]


def test_who_has_which_class() -> None:
    train = of_counts("train", {"cat": 3, "dog": 0, "cow": 0, "pig": 1}, "train")
    test = of_counts("test", {"cat": 2, "dog": 5, "cow": 0, "pig": 0}, "test")
    assert found(train, test) == {
        "unused-class": ["cow"],
        "class-not-in-training": ["dog: 5 boxes in the test sets, none to learn from"],
        "class-not-in-test": ["pig: 1 box"],
    }


def test_several_training_sets_are_one() -> None:
    one, other = of_counts("one", {"cat": 3, "dog": 0}, "train"), of_counts("other", {"cat": 0, "dog": 3}, "train")
    assert found(one, other) == {}


@pytest.mark.parametrize(("rare", "told"), [(5, True), (6, False), (0, False)])
def test_rare_classes(rare: int, told: bool) -> None:
    findings = found(of_counts("train", {"cat": 100, "dog": rare, "cow": 50}, "train"))
    assert ("class-imbalance" in findings) == told  # 100 / 5 = 20
    if told:
        assert findings["class-imbalance"] == ["dog: 5 boxes, 1 to 20 of cat (100)"]


def test_sets_of_a_run_need_the_same_classes_and_others_do_not() -> None:
    one, other = {"cat": 1, "dog": 1}, {"dog": 1, "cat": 1}
    assert (
        "the same in another order" in found(of_counts("a", one, "train"), of_counts("b", other, "test"))["classes-differ"][0]
    )
    assert found(of_counts("a", one, "train"), of_counts("b", other)) == {}


def test_a_set_that_is_trained_on_and_evaluated_on() -> None:
    assert found(of_counts("a", {"cat": 1}, "train", "test")) == {"evaluated-on-training": [""]}


def test_names_for_ids_that_no_category_has_are_no_classes() -> None:
    assert found(of_counts("a", {"(no category 0)": 0, "cat": 1}, "train")) == {}
