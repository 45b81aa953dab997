from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dettoolkit.data.datasets import LVISDataset
from dettoolkit.errors import DataError

URL = "http://images.cocodataset.org/train2017/"
CONTENT: dict[str, Any] = {
    "images": [
        {
            "id": 7,
            "coco_url": URL + "000000000007.jpg",
            "height": 12,
            "width": 16,
            "neg_category_ids": [9, 4],
            "not_exhaustive_category_ids": [2],
        },
        {
            "id": 5,
            "file_name": "val2017/b.jpg",
            "height": 12,
            "width": 16,
            "neg_category_ids": [],
            "not_exhaustive_category_ids": [],
        },
    ],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 2, "bbox": [1, 2, 4, 5], "area": 11.5, "segmentation": [[1, 2, 5, 7, 1, 7]]},
        {"id": 2, "image_id": 5, "category_id": 9, "bbox": [0, 0, 4, 4], "area": 16, "segmentation": []},
    ],
    "categories": [
        {"id": 9, "name": "zebra", "frequency": "f", "synset": "zebra.n.01"},
        {"id": 2, "name": "aerosol_can", "frequency": "c", "synset": "aerosol.n.02"},
        {"id": 4, "name": "anklet", "frequency": "r", "synset": "anklet.n.03"},
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("train2017/000000000007.jpg", "val2017/b.jpg"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (16, 12)).save(tmp_path / name)
    return tmp_path


def described(folder: Path, content: dict[str, Any] = CONTENT, **options: Any) -> LVISDataset:
    (folder / "lvis.json").write_text(json.dumps(content))
    return LVISDataset("lvis.json", root=str(folder), name="mine", **options)


def changed(section: str, index: int, **values: Any) -> dict[str, Any]:
    content = json.loads(json.dumps(CONTENT))
    content[section][index] |= values
    return content


def test_labels_follow_category_ids_and_names_come_from_the_url(folder: Path) -> None:
    data = described(folder)

    assert (data.info.class_names, data.info.category_ids) == (("aerosol_can", "anklet", "zebra"), (2, 4, 9))
    assert [record.file_name for record in data.records] == ["train2017/000000000007.jpg", "val2017/b.jpg"]
    assert data.records[0].boxes.tolist() == [[1, 2, 5, 7]]
    assert [record.labels.tolist() for record in data.records] == [[0], [2]]
    assert not any(record.ignore.any() for record in data.records)
    assert data[0]["original_areas"].tolist() == [11.5]


def test_what_the_file_says_of_classes_without_boxes_is_kept_as_labels(folder: Path) -> None:
    data = described(folder)

    assert data.frequencies == ("c", "r", "f")
    assert data.absent == {7: (2, 1)}
    assert data.not_exhaustive == {7: (0,)}


def test_only_taken_classes_have_labels(folder: Path) -> None:
    data = described(folder, classes=["zebra", "aerosol_can"])

    assert data.frequencies == ("f", "c")
    assert (data.absent, data.not_exhaustive) == ({7: (0,)}, {7: (1,)})


def test_an_ap_by_the_rules_of_coco_is_not_called_that_of_lvis(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "dettoolkit"):
        described(folder)

    assert "an AP by other rules than LVIS's own is not its AP" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed("categories", 0, frequency="x"), r"category 9 \('zebra'\): expected the 'frequency' 'r' \(rare\).* got 'x'"),
        (changed("categories", 0, frequency=None), r"got None\. A file without frequencies is one for COCODataset"),
        (changed("images", 0, neg_category_ids=[1.5]), r"image 7: expected 'neg_category_ids' to be a list of category ids"),
        (changed("images", 0, coco_url=None), r"images without 'id' or 'file_name': 1"),
        (changed("images", 0, coco_url="000000000007.jpg"), r"images without 'id' or 'file_name': 1"),
        (changed("annotations", 0, category_id=3), r"boxes of an unknown category: 1\n.*annotation 1: category_id 3"),
        ({"images": [], "annotations": []}, r"lvis\.json: has no 'categories'"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        described(folder, content)
