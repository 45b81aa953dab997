from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dettoolkit.errors import DataError
from dettoolkit.inference import PredictionsFile
from dettoolkit.structures import Detections

FOUND = Detections(torch.tensor([[1.0, 2.0, 3.25, 4.0]]), torch.tensor([0.75]), torch.tensor([1]))


def test_each_image_has_an_entry(tmp_path: Path) -> None:
    with PredictionsFile(tmp_path / "predictions.json", ["cat", "狗"]) as predictions:
        predictions.add(Path("a.jpg"), (40, 60), FOUND, picture="pictures/a.jpg")
        predictions.add(Path("b.mp4"), (30, 20), Detections.empty(), frame=3, seconds=0.12)
    assert json.loads((tmp_path / "predictions.json").read_text(encoding="utf-8")) == [
        {
            "file": "a.jpg",
            "width": 60,
            "height": 40,
            "picture": "pictures/a.jpg",
            "detections": [{"class": "狗", "label": 1, "score": 0.75, "box": [1.0, 2.0, 3.25, 4.0]}],
        },
        {"file": "b.mp4", "width": 20, "height": 30, "frame": 3, "seconds": 0.12, "detections": []},
    ]


def test_no_images_make_an_empty_list(tmp_path: Path) -> None:
    with PredictionsFile(tmp_path / "predictions.json", ["cat"]):
        pass
    assert json.loads((tmp_path / "predictions.json").read_text()) == []


def test_what_came_before_an_error_can_be_read(tmp_path: Path) -> None:
    def interrupted() -> None:
        with PredictionsFile(tmp_path / "predictions.json", ["cat", "dog"]) as predictions:
            predictions.add(Path("a.jpg"), (40, 60), FOUND)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [entry["file"] for entry in json.loads((tmp_path / "predictions.json").read_text())] == ["a.jpg"]


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "predictions.json").write_text("[1]")
    with pytest.raises(DataError, match=r"predictions\.json: cannot be written: File exists"):
        PredictionsFile(tmp_path / "predictions.json", ["cat"])
    assert (tmp_path / "predictions.json").read_text() == "[1]"
