from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from PIL import Image

from dettoolkit.data.datasets import COCODataset, YOLODataset
from dettoolkit.data.datasets.entries import Entry
from dettoolkit.data.datasets.faults import observed_by
from dettoolkit.errors import DataError


class Notes:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.faults: list[tuple[str, str]] = []
        self.others: list[str] = []

    def entry(self, entry: Entry) -> None:
        self.entries.append(entry)

    def fault(self, kind: str, where: str) -> None:
        self.faults.append((kind, where))

    def left_out(self, kind: str) -> None:
        self.others.append(kind)


def write_coco(folder: Path) -> None:
    Image.new("RGB", (64, 48)).save(folder / "a.png")
    bad = {"image_id": 1, "category_id": 1, "bbox": [5, 5, -2, 9], "id": 1}
    unknown = {"image_id": 1, "category_id": 2, "bbox": [5, 5, 2, 9], "id": 2}
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "gone.png", "width": 64, "height": 48}]
    content = {"images": images, "annotations": [bad, unknown], "categories": [{"id": 1, "name": "cat"}]}
    (folder / "set.json").write_text(json.dumps(content))


def test_an_observer_sees_entries_as_the_file_gives_them_and_nothing_raises(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write_coco(tmp_path)
    notes = Notes()

    with observed_by(notes):
        dataset = COCODataset("set.json", root=str(tmp_path), on_bad="error")

    assert [(entry.image_id, entry.file_name, entry.size) for entry in notes.entries] == [
        (1, "a.png", None),
        (2, "gone.png", (48, 64)),
    ]
    assert [box.corners for box in notes.entries[0].boxes] == [(5, 5, 3, 14)]
    # the missing image and the box without area can be seen in the entries, the unknown category cannot
    assert [kind for kind, _ in notes.faults] == ["boxes of an unknown category"]
    assert len(dataset) == 1
    assert not caplog.text
    with pytest.raises(DataError, match="3 of its images and boxes are broken"):
        COCODataset("set.json", root=str(tmp_path))


def test_a_set_of_which_nothing_is_left_is_observed_to_the_end(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(b"no image")
    (tmp_path / "images/a.txt").write_text("0 0.5 0.5 0.1 0.1")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 0.25 0.5")
    notes = Notes()

    with observed_by(notes):
        assert len(YOLODataset(images="images", classes=["cat"], root=str(tmp_path))) == 0

    (entry,) = notes.entries
    assert notes.others == []
    assert (entry.in_shares, entry.boxes[0].corners) == (True, (0.375, 0.25, 0.625, 0.75))


def test_an_observer_sees_what_is_left_out_because_the_config_says_so(tmp_path: Path) -> None:
    write_coco(tmp_path)
    content = json.loads((tmp_path / "set.json").read_text())
    content["categories"].append({"id": 2, "name": "dog"})
    (tmp_path / "set.json").write_text(json.dumps(content))
    notes = Notes()

    with observed_by(notes):
        COCODataset("set.json", root=str(tmp_path), classes=["cat"])

    assert notes.others == ["boxes of categories not in CLASSES (dog)"]
