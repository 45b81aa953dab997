from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dettoolkit.data.datasets import COCODataset, VOCDataset
from dettoolkit.errors import DataError


def thing(name: str, *corners: Any, difficult: int = 0) -> str:
    names = ("xmin", "ymin", "xmax", "ymax")
    inside = "".join(f"<{key}>{value}</{key}>" for key, value in zip(names, corners, strict=False))
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{inside}</bndbox></object>"


def write(folder: Path, image_id: str, *objects: str, size: tuple[int, int] = (64, 48), suffix: str = ".png") -> None:
    """Write a 64 x 48 image and an XML file that states ``size`` (width, height)."""
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48)).save(folder / "JPEGImages" / f"{image_id}{suffix}")
    text = f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{''.join(objects)}</annotation>"
    (folder / "Annotations" / f"{image_id}.xml").write_text(text)


def dataset(folder: Path, **options: Any) -> VOCDataset:
    return VOCDataset(".", root=str(folder), name="mine", **options)


def test_names_in_the_files_are_the_classes_sorted(tmp_path: Path) -> None:
    write(tmp_path, "a", thing("dog", 1, 2, 11, 22), thing("cat", 3, 4, 5, 6))

    data = dataset(tmp_path)

    sample = data[0]
    assert data.info.class_names == ("cat", "dog")
    assert sample["boxes"].tolist() == [[1, 2, 11, 22], [3, 4, 5, 6]]
    assert sample["labels"].tolist() == [1, 0]
    assert sample["original_areas"].tolist() == [200, 4]
    assert (sample["image_id"], sample["file_name"], sample["original_size"]) == ("a", "a.png", (48, 64))


def test_a_split_takes_its_images_and_shares_the_classes(tmp_path: Path) -> None:
    write(tmp_path, "a", thing("dog", 1, 2, 11, 22))
    write(tmp_path, "b", thing("cat", 1, 2, 11, 22))
    (tmp_path / "ImageSets/Main/val.txt").write_text("b\n\n")

    data = dataset(tmp_path, split="val")

    assert [record.image_id for record in data.records] == ["b"]
    assert data.info.class_names == ("cat", "dog")  # dog occurs in the other split only


def test_a_list_of_one_class_has_a_second_column(tmp_path: Path) -> None:
    write(tmp_path, "a", thing("dog", 1, 2, 11, 22))
    (tmp_path / "ImageSets/Main/dog_val.txt").write_text("a  -1\n")

    assert len(dataset(tmp_path, split="dog_val")) == 1


def test_classes_set_the_labels_and_leave_other_names_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    write(tmp_path, "a", thing("dog", 1, 2, 11, 22), thing("cat", 3, 4, 5, 6), thing("cow", 1, 1, 5, 5))

    data = dataset(tmp_path, classes=["dog", "cat"])

    assert data.records[0].labels.tolist() == [0, 1]
    assert "not in CLASSES (cow): 1" in caplog.text


def test_classes_that_no_object_has_leave_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a", thing("dog", 1, 2, 11, 22))

    with pytest.raises(DataError, match=r"no box is left\. .*not in CLASSES \(dog\): 1\. Classes expected: dogs"):
        dataset(tmp_path, classes=["dogs"])


def test_difficult_objects_are_ignored_or_kept(tmp_path: Path) -> None:
    write(tmp_path, "a", thing("dog", 1, 2, 11, 22, difficult=1), thing("dog", 1, 2, 11, 22))

    assert dataset(tmp_path).records[0].ignore.tolist() == [True, False]
    assert dataset(tmp_path, difficult="keep").records[0].ignore.tolist() == [False, False]


def test_pixels_counted_from_one_become_edges(tmp_path: Path) -> None:
    # a box over the whole image is 1, 1, 64, 48 in the coordinates of the VOC data sets
    write(tmp_path, "a", thing("dog", 1, 1, 64, 48))

    assert dataset(tmp_path, coordinates="pixels").records[0].boxes.tolist() == [[0, 0, 64, 48]]
    assert dataset(tmp_path, coordinates="edges").records[0].boxes.tolist() == [[1, 1, 64, 48]]


@pytest.mark.parametrize("coordinates", ["edges", "pixels"])
def test_a_box_without_area_as_written_gets_none_from_the_coordinates(tmp_path: Path, coordinates: Any) -> None:
    write(tmp_path, "a", thing("dog", 5, 5, 5, 5), thing("dog", 1, 2, 11, 22))

    with pytest.raises(DataError, match=r"zero or negative size: 1\n.*a\.xml: object 0 \(from 0\): .*\[5, 5, 5, 5\]"):
        dataset(tmp_path, coordinates=coordinates)
    assert len(dataset(tmp_path, coordinates=coordinates, on_bad="drop").records[0].boxes) == 1


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (thing("dog", 1, 2, 3), r"not four numbers: 1\n.*a\.xml: object 0 .*expected bndbox with xmin, ymin, xmax, ymax"),
        (thing("dog", 1, 2, "x", 4), r"not four numbers: 1\n"),
        (thing("dog", 1, 2, "nan", 4), r"(not finite|zero or negative size): 1\n"),
        (thing("dog", 60, 2, 70, 4), r"outside the image: 1\n"),
        (thing(" ", 1, 2, 3, 4), r"without a name: 1\n.*a\.xml: object 0"),
    ],
)
def test_a_broken_object_is_an_error_or_dropped(tmp_path: Path, broken: str, message: str) -> None:
    write(tmp_path, "a", broken, thing("dog", 1, 2, 11, 22))

    with pytest.raises(DataError, match=message):
        dataset(tmp_path)
    assert dataset(tmp_path, on_bad="drop").records[0].boxes.tolist() == [[1, 2, 11, 22]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><size>", r"b\.xml: is not XML: "),
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>', r"b\.xml: is not XML: Entities"),
        (None, r"b\.xml: no such XML file"),
    ],
)
def test_an_xml_file_that_cannot_be_read_is_an_error_or_dropped(tmp_path: Path, text: str | None, message: str) -> None:
    write(tmp_path, "a", thing("dog", 1, 2, 11, 22))
    (tmp_path / "ImageSets/Main/val.txt").write_text("a\nb\n")
    if text is not None:
        (tmp_path / "Annotations/b.xml").write_text(text)

    with pytest.raises(DataError, match=message):
        dataset(tmp_path, split="val")
    assert [record.image_id for record in dataset(tmp_path, split="val", on_bad="drop").records] == ["a"]


def test_a_stated_size_is_compared_and_zero_means_unknown(tmp_path: Path) -> None:
    write(tmp_path, "a", thing("dog", 1, 2, 11, 22), size=(0, 0))
    assert dataset(tmp_path).records.sizes.tolist() == [[48, 64]]

    write(tmp_path, "a", thing("dog", 1, 2, 11, 22), size=(48, 64))
    with pytest.raises(DataError, match=r"a\.xml: a\.png: the annotations say 48 x 64 .* the image is 64 x 48: .*swapped"):
        dataset(tmp_path)


def test_an_image_is_found_by_its_name_whatever_its_suffix(tmp_path: Path) -> None:
    write(tmp_path, "a", thing("dog", 1, 2, 11, 22), suffix=".webp")
    write(tmp_path, "b", thing("dog", 1, 2, 11, 22))
    (tmp_path / "JPEGImages/b.png").unlink()

    with pytest.raises(DataError, match=r"b\.jpg: no such image file"):
        dataset(tmp_path)
    assert [record.file_name for record in dataset(tmp_path, on_bad="drop").records] == ["a.webp"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a")
    (tmp_path / "ImageSets/Main/train.txt").write_text("a\n")

    with pytest.raises(DataError, match=r"trian\.txt: no such list of the images of a split\. Did you mean 'train\.txt'"):
        dataset(tmp_path, split="trian")
    with pytest.raises(DataError, match=r"no XML file there names an object"):
        dataset(tmp_path)
    with pytest.raises(DataError, match=r"gone: no such folder of VOC data"):
        VOCDataset("gone", root=str(tmp_path))


@pytest.mark.parametrize(("split", "num_images", "num_boxes"), [("train", 205, 2804), ("val", 87, 1137), ("test", 72, 945)])
def test_real_xml_gives_the_boxes_of_its_json(real_data: Path, split: str, num_images: int, num_boxes: int) -> None:
    # numbers and coordinates: the README of these data; two boxes of all have no area there
    voc = VOCDataset("bccd/voc", split, images="bccd/images", root=str(real_data), on_bad="drop", check_images=False)
    coco = COCODataset(f"bccd/annotations/bccd_{split}.json", "bccd/images", root=str(real_data), check_images=False)

    assert (len(voc), int(voc.records.num_boxes.sum())) == (num_images, num_boxes)
    assert voc.info.class_names == ("Platelets", "RBC", "WBC")
    for one, other in zip(voc.records, coco.records, strict=True):
        assert one.file_name == other.file_name
        assert np.array_equal(one.boxes, other.boxes)
        names = [voc.info.class_names[label] for label in one.labels]
        assert names == [coco.info.class_names[label] for label in other.labels]


def test_a_real_box_without_area_is_reported_by_file(real_data: Path) -> None:
    with pytest.raises(DataError, match=r"zero or negative size: 1\n.*BloodImage_00338\.xml: .*\[504, 337, 504, 337\]"):
        VOCDataset("bccd/voc", "val", images="bccd/images", root=str(real_data))
