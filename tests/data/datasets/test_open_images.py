from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dettoolkit.data.datasets import OpenImagesDataset
from dettoolkit.errors import DataError

HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
ROWS = """
000a,xclick,/m/01g317,1,0.25,0.5,0.5,1.0,0,1,0,0,0
000b,xclick,/m/0k4j,1,0,1,0,1,1,0,1,0,0
000a,activemil,/m/0k4j,1,0.5,0.75,0.25,0.75,0,0,-1,0,0
"""
NAMES = "/m/0k4j,Car\n/m/01g317,Person\n/m/0jy4k,Doughnut\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures 000a.jpg and 000b.jpg of 16 x 12, and the descriptions of three classes."""
    (tmp_path / "train").mkdir()
    for name in ("000a", "000b"):
        Image.new("RGB", (16, 12)).save(tmp_path / f"train/{name}.jpg")
    (tmp_path / "names.csv").write_text(NAMES)
    return tmp_path


def described(folder: Path, text: str = HEADER + ROWS, **options: Any) -> OpenImagesDataset:
    (folder / "boxes.csv").write_text(text, encoding="utf-8", newline="")
    return OpenImagesDataset("boxes.csv", "names.csv", "train", root=str(folder), name="mine", **options)


def test_shares_become_pixels_and_groups_are_ignored(folder: Path) -> None:
    # of 16 x 12: 0.25..0.5 is 4..8, 0.5..1 is 6..12; 0.5..0.75 is 8..12, 0.25..0.75 is 3..9
    data = described(folder)

    assert data.info.class_names == ("Car", "Person", "Doughnut")
    assert [(record.image_id, record.file_name) for record in data.records] == [("000a", "000a.jpg"), ("000b", "000b.jpg")]
    assert data.records[0].boxes.tolist() == [[4, 6, 8, 12], [8, 3, 12, 9]]
    assert [record.labels.tolist() for record in data.records] == [[1, 0], [0]]
    assert [record.ignore.tolist() for record in data.records] == [[False, False], [True]]  # -1 is: not known
    assert data[1]["ignore"].tolist() == [True]


def test_groups_may_be_kept_and_the_column_may_be_missing(folder: Path) -> None:
    assert described(folder, group_of="keep").records[1].ignore.tolist() == [False]
    text = "ImageID,LabelName,XMin,YMin,XMax,YMax\r\n000b,/m/0k4j,0,0,0.5,1\r\n"
    assert described(folder, "\ufeff" + text).records[0].boxes.tolist() == [[0, 0, 8, 12]]


def test_classes_pick_and_order(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dettoolkit"):
        data = described(folder, classes=["Person"])

    assert data.info.class_names == ("Person",)
    assert data.records.num_boxes.tolist() == [1, 0]
    assert "boxes of names not in CLASSES (Car): 2" in caplog.text
    with pytest.raises(DataError, match=r"names\.csv: CLASSES names 'Donut'\. Did you mean 'Doughnut'\? It has: Car, Person"):
        described(folder, classes=["Donut"])


def test_what_is_not_used_is_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "dettoolkit"):
        described(folder)

    assert "image-level labels and the hierarchy of classes are not used" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"boxes\.csv: is empty; expected a header with ImageID, LabelName, XMin, YMin, XMax, YMax"),
        (HEADER.replace("XMin", "XMn") + ROWS, r"boxes\.csv:1: No column XMin\. Did you mean 'XMn'\? Its columns: ImageID, "),
        (
            "ImageID,Source,LabelName,Confidence\n000a,verification,/m/0k4j,1\n",
            r"No column XMin\..* Labels of whole images have no boxes: take the csv file of boxes",
        ),
        (HEADER + ROWS + "000a,x,/m/xyz,1,0,1,0,1,0,0,0,0,0\n", r"boxes of an unknown class: 1\n.*csv:5: LabelName '/m/xyz'"),
        (HEADER + ROWS + "000a,x,/m/0k4j,1,0,1,0,,0,0,0,0,0\n", r"boxes\.csv:5: expected XMin, YMin, XMax, YMax"),
        (HEADER + ROWS + "000a,x,/m/0k4j,1,0\n", r"boxes\.csv:5: 5 cells instead of 13"),
        (HEADER + ROWS + ",x,/m/0k4j,1,0,1,0,1,0,0,0,0,0\n", r"images without ImageID: 1\n.*boxes\.csv:5"),
        (HEADER + ROWS + "000a,x,/m/0k4j,1,0,2,0,1,0,0,0,0,0\n", r"boxes outside the image: 1\n.*boxes\.csv:5"),
        (HEADER + ROWS + "000c,x,/m/0k4j,1,0,1,0,1,0,0,0,0,0\n", r"images that cannot be read: 1\n.*000c\.jpg: no such image"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(folder: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        described(folder, text)


def test_a_part_of_the_pictures_is_enough_where_broken_ones_are_dropped(folder: Path) -> None:
    (folder / "train/000b.jpg").unlink()

    assert [record.image_id for record in described(folder, on_bad="drop").records] == ["000a"]


def test_descriptions_may_have_a_header_and_commas(folder: Path) -> None:
    (folder / "names.csv").write_text('LabelName,DisplayName\n/m/0k4j,"Car, any"\n/m/01g317,Person\n')

    assert described(folder).info.class_names == ("Car, any", "Person")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"names\.csv: names no class"),
        ("Car\n", r"names\.csv:1: expected LabelName and name of a class, got 'Car'"),
        ("/m/1,Car\n/m/2,Car\n", r"names\.csv:2: /m/2 or 'Car' stands twice"),
    ],
)
def test_wrong_descriptions_say_what_is_wrong(folder: Path, text: str, message: str) -> None:
    (folder / "names.csv").write_text(text)

    with pytest.raises(DataError, match=message):
        described(folder)
