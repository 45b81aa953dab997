from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from dettoolkit.config import load_config
from dettoolkit.data import build_train_dataset
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.records import Record
from dettoolkit.engine.readiness import tell_about_anchors, tell_about_data
from dettoolkit.modeling import build_model
from dettoolkit.structures import DatasetInfo

SIX = ["MODEL.NUM_CLASSES", "6"]


def test_a_training_says_in_one_line_what_its_anchors_reach(caplog: pytest.LogCaptureFixture) -> None:
    cfg = load_config("tiny.yaml", SIX)
    with caplog.at_level(logging.INFO):
        tell_about_anchors(build_model(cfg), build_train_dataset(cfg), cfg)
    (line,) = caplog.messages
    assert line.startswith("anchors: ")
    assert line.endswith("`dettoolkit check-anchors` says more")


def test_anchors_of_another_kind_do_not_keep_a_training_from_starting(caplog: pytest.LogCaptureFixture) -> None:
    cfg = load_config("tiny.yaml", SIX)
    model = build_model(cfg)
    model.anchors = object()
    with caplog.at_level(logging.INFO):
        tell_about_anchors(model, build_train_dataset(cfg), cfg)
    (line,) = caplog.messages
    assert line.startswith("anchors are not compared with objects: MODEL.ANCHORS: ")


def dataset(*boxes: list[float]) -> DetectionDataset:
    arrays: Any = (np.array(boxes), np.zeros(len(boxes)), np.zeros(len(boxes)), np.ones(len(boxes)))
    return DetectionDataset(DatasetInfo("mine", ("cat",)), [Record(7, "a.png", 100, 200, *arrays)])


def test_what_boxes_show_is_a_line_each_and_nothing_where_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    tell_about_data(dataset([10, 10, 60, 60]), [dataset([10, 10, 60, 60])])
    assert caplog.messages == []

    tell_about_data(dataset([10, 10, 60, 60], [10, 10, 60, 60]), [])
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert caplog.messages[0].startswith(
        "boxes that stand twice: same class, same place: 1, such as mine: cat [10, 10, 60, 60]"
    )
    assert caplog.messages[1] == "dettoolkit check-dataset shows all of them, and looks at the images as well"
