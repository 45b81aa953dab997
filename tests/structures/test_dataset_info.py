"""DatasetInfo: class names and category ids, as they travel with a checkpoint."""

from __future__ import annotations

import json

import pytest

from dettoolkit.structures import DatasetInfo


def test_ids_are_the_labels_where_none_are_given():
    assert DatasetInfo("birds", ("owl", "wren")).category_ids == (0, 1)


def test_it_comes_back_from_json_equal():
    info = DatasetInfo("bïrds", ("owl", "梟"), (7, 3))
    assert DatasetInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info


def test_a_set_without_classes_comes_back_too():
    info = DatasetInfo("nothing", ())
    assert info.num_classes == 0
    assert DatasetInfo.from_dict(info.to_dict()) == info


def test_the_number_of_ids_must_be_that_of_names():
    with pytest.raises(ValueError, match="birds: 2 class names, 1 category ids"):
        DatasetInfo("birds", ("owl", "wren"), (7,))


def test_an_id_may_stand_once_only():
    with pytest.raises(ValueError, match=r"birds: a category id stands twice in \(7, 7\)"):
        DatasetInfo("birds", ("owl", "wren"), (7, 7))


def test_a_class_name_may_stand_once_only():
    with pytest.raises(ValueError, match=r"birds: a class name stands twice in \('owl', 'owl'\)"):
        DatasetInfo("birds", ("owl", "owl"))
