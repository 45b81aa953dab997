from __future__ import annotations

import logging

import pytest

from dettoolkit.config import load_config
from dettoolkit.data import build_train_dataset
from dettoolkit.engine.readiness import tell_about_anchors
from dettoolkit.modeling import build_model

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
