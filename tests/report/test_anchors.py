"""What the anchor doctor says, as the page shows it."""

from __future__ import annotations

from typing import Any

import yaml

from dettoolkit.report import AnchorData
from dettoolkit.report.anchors import anchor_section

GROUP = {"name": "all", "count": 4, "recall": {"0.4": 1.0, "0.5": 0.75, "0.7": 0.25}, "forced": 0.25}
NONE = {"name": "small", "count": 0, "recall": {}, "forced": 0.0}
EXAMINATION: dict[str, Any] = {
    "positive_from": 0.5,
    "num_images": 1200,
    "overall": GROUP,
    "by_size": [NONE],
    "by_class": [{**GROUP, "name": "cat"}],
    "matched": {
        "num_images": 2,
        "strides": [8, 16],
        "share_of_positives": [0.125, 0.875],
        "positives_an_image": 31.5,
        "anchors_an_image": 20850.0,
    },
}


def _suggestion(*overrides: str, pixels: float = 1.0) -> dict[str, Any]:
    return {
        "words": "a change",
        "overrides": overrides,
        "recall": (1.0, 0.9, 0.5),
        "matchable": 0.9,
        "weakest_class": ("cat", 0.8),
        "anchors": 34247.5,
        "pixels": pixels,
    }


def _section(*suggestions: dict[str, Any]) -> Any:
    return anchor_section(AnchorData("train", "DATASETS.TRAIN_TRANSFORMS", EXAMINATION, (), suggestions))


def test_without_an_examination_there_is_no_section() -> None:
    assert anchor_section(None) is None


def test_recall_and_load_are_those_of_the_examination() -> None:
    section = _section()
    rows = {row.name: [cell.text for cell in row.cells] for row in section.recall.rows}
    assert rows == {
        "all": ["100.0 %", "75.0 %", "25.0 %", "25.0 %", "4"],
        "small": ["n/a", "n/a", "n/a", "n/a", "0"],
        "cat": ["100.0 %", "75.0 %", "25.0 %", "25.0 %", "4"],
    }
    assert [(row.name, row.cells[0].text) for row in section.load.rows] == [("stride 8", "12.5 %"), ("stride 16", "87.5 %")]
    assert "31.5 of 20,850 anchors" in section.load.caption
    assert "1,200 images of train" in section.reading
    assert "an IoU of 0.4, 0.5 and 0.7." in section.reading


def test_no_change_was_tried_or_none_was_found() -> None:
    assert _section().changes is None
    assert _section(_suggestion()).changes == []  # the config as it is alone


def test_a_change_is_yaml_to_paste() -> None:
    change = ("MODEL.ANCHORS.BASE_SCALE", "2.25", "MODEL.ANCHORS.ASPECT_RATIOS", "[0.4, 1.0]", "MODEL.NECK.LEVELS", "[2, 6]")
    (shown,) = _section(_suggestion(), _suggestion(*change)).changes
    wanted = {"MODEL": {"ANCHORS": {"BASE_SCALE": 2.25, "ASPECT_RATIOS": [0.4, 1.0]}, "NECK": {"LEVELS": [2, 6]}}}
    assert yaml.safe_load(shown.yaml) == wanted
    assert "90.0 % of the objects can be matched (weakest class cat: 80.0 %), with 34,248 anchors" in shown.effect
    assert "pixels" not in shown.effect


def test_a_change_inside_of_a_list_is_a_command() -> None:
    (shown,) = _section(_suggestion(), _suggestion("DATASETS.TRAIN_TRANSFORMS.1.SIZES", "[100, 200]", pixels=1.5625)).changes
    assert shown.yaml == ""
    assert shown.command == "DATASETS.TRAIN_TRANSFORMS.1.SIZES '[100, 200]'"
    assert "1.56 times the pixels" in shown.effect
