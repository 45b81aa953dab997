from __future__ import annotations

import json
import re
from typing import Any

import pytest
from fvcore.common.config import CfgNode

from dettoolkit import __version__
from dettoolkit.errors import CheckpointError
from dettoolkit.inference.exported_metadata import ExportedMetadata
from dettoolkit.structures import DatasetInfo

INFO = DatasetInfo("tiny", ("disc", 'a "ring"', "狗 🐶"), (3, 1, 2))


@pytest.fixture
def metadata(cfg: CfgNode) -> ExportedMetadata:
    return ExportedMetadata(INFO, cfg, "outside", 32)


@pytest.fixture
def data(metadata: ExportedMetadata) -> dict[str, Any]:
    return json.loads(metadata.to_json())


def test_what_is_written_comes_back(metadata: ExportedMetadata, cfg: CfgNode) -> None:
    read = ExportedMetadata.from_json(metadata.to_json(), "x.onnx")
    assert (read.info, read.nms, read.size_divisibility) == (INFO, "outside", 32)
    assert read.cfg.DATASETS.TEST_TRANSFORMS == cfg.DATASETS.TEST_TRANSFORMS
    assert read.cfg.MODEL.DECODER == cfg.MODEL.DECODER


def test_others_can_read_it_too(data: dict[str, Any], cfg: CfgNode) -> None:
    assert data["class_names"] == ["disc", 'a "ring"', "狗 🐶"]
    assert data["category_ids"] == [3, 1, 2]
    assert data["precision"] == "fp32"
    assert data["dettoolkit"] == __version__
    assert data["DECODER"]["NMS"] == {"NAME": "BatchedNMS", "IOU_THRESHOLD": 0.5}
    assert data["TEST_TRANSFORMS"][0]["NAME"] == "ResizeShortestEdge"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"form": 2}, "form: expected 1"),
        ({"nms": "both"}, "nms: expected "),
        ({"size_divisibility": 0}, "size_divisibility: "),
        ({"class_names": ["a", "b"]}, "2 class names, 3 category ids"),
        ({"class_names": "abc"}, "class_names: "),
        ({"category_ids": [1, 1, 2]}, "a category id stands twice"),
        ({"TEST_TRANSFORMS": [{"NAME": "Resise"}]}, r"TEST_TRANSFORMS\.0\.NAME: .*'Resise'"),
        ({"DECODER": {"NMS": {"NAME": "os.system"}}}, r"DECODER\.NMS\.NAME: .*'os\.system'"),
        ({"DECODER": {"SCORE_THRESHOLD": "high"}}, r"DECODER\.SCORE_THRESHOLD: "),
        ({"extra": 1}, "has no 'extra'"),
    ],
)
def test_a_wrong_value_is_told_with_its_key(data: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=re.compile(f"x.onnx: what the file says of itself.*{message}", re.DOTALL)):
        ExportedMetadata.from_json(json.dumps({**data, **changes}), "x.onnx")


@pytest.mark.parametrize("key", ["form", "nms", "size_divisibility", "class_names", "category_ids", "precision"])
def test_what_is_missing_is_told(data: dict[str, Any], key: str) -> None:
    del data[key]
    with pytest.raises(CheckpointError, match=f"{key}: is required and missing"):
        ExportedMetadata.from_json(json.dumps(data), "x.onnx")


@pytest.mark.parametrize("text", ["", "[]", "{", "!!python/object/apply:os.system [ls]", "[" * 10_000, "3"])
def test_a_text_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError, match=r"x\.pt2: what the file says of itself cannot be used"):
        ExportedMetadata.from_json(text, "x.pt2")
