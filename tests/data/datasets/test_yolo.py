from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dettoolkit.data.datasets import COCODataset, YOLODataset
from dettoolkit.errors import DataError


def write(folder: Path, image: str, labels: str | None) -> None:
    """Write a 64 x 48 image and its labels, found by the folder ``labels`` in place of ``images``."""
    path = folder / image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48)).save(path)
    if labels is not None:
        label_path = (folder / image.replace("images", "labels")).with_suffix(".txt")
        label_path.parent.mkdir(parents=True, exist_ok=True)
        label_path.write_text(labels)


def described(folder: Path, text: str = "train: images/train\nnames: [cat, dog]\n", **options: Any) -> YOLODataset:
    (folder / "data.yaml").write_text(text)
    return YOLODataset("data.yaml", root=str(folder), name="mine", **options)


def test_shares_of_the_image_become_pixels(tmp_path: Path) -> None:
    # centre (0.5 * 64, 0.25 * 48) = (32, 12), size (0.25 * 64, 0.5 * 48) = (16, 24)
    write(tmp_path, "images/train/a.png", "1 0.5 0.25 0.25 0.5\n\n")

    data = described(tmp_path)

    sample = data[0]
    assert data.info.class_names == ("cat", "dog")
    assert sample["boxes"].tolist() == [[24, 0, 40, 24]]
    assert sample["labels"].tolist() == [1]
    assert sample["original_areas"].tolist() == [384]
    assert (sample["image_id"], sample["file_name"], sample["original_size"]) == ("a.png", "a.png", (48, 64))


def test_a_polygon_gives_the_box_around_it(tmp_path: Path) -> None:
    write(tmp_path, "images/train/a.png", "0 0.25 0.5 0.75 0.25 0.5 1.0\n")

    assert described(tmp_path).records[0].boxes.tolist() == [[16, 12, 48, 48]]


def test_an_image_without_labels_is_background(tmp_path: Path) -> None:
    write(tmp_path, "images/train/a.png", None)
    write(tmp_path, "images/train/b.png", "0 0.5 0.5 0.5 0.5\n")
    write(tmp_path, "images/train/c.png", "")

    assert described(tmp_path).records.num_boxes.tolist() == [0, 1, 0]
    assert described(tmp_path, empty_images="drop").records.num_boxes.tolist() == [1]


def test_images_are_sorted_and_other_files_left_alone(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.png", "more/c.png"):
        write(tmp_path, f"images/train/{name}", "0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "images/train/notes.md").touch()

    assert [record.file_name for record in described(tmp_path).records] == ["a.png", "b.PNG", "more/c.png"]


def test_labels_may_stand_beside_their_images(tmp_path: Path) -> None:
    write(tmp_path, "photos/a.png", "1 0.5 0.5 0.5 0.5\n")

    data = YOLODataset(images="photos", classes=["cat", "dog"], root=str(tmp_path))

    assert data.records[0].labels.tolist() == [1]


def test_only_the_last_folder_called_images_is_replaced(tmp_path: Path) -> None:
    base = tmp_path / "images" / "set"
    write(base, "images/a.png", "0 0.5 0.5 0.5 0.5\n")

    data = YOLODataset(images="images/set/images", classes=["cat"], root=str(tmp_path))

    assert data.records.num_boxes.tolist() == [1]


@pytest.mark.parametrize(
    "text",
    [
        "path: .\ntrain: ./images/train/\nnames: {0: cat, 1: dog}\nnc: 2\n",
        "train: [images/train]\nnames: [cat, dog]\n",
        "train: ../images/train\nnames: [cat, dog]\n",  # written beside the folder, meant from it
        "train: list.txt\nnames: [cat, dog]\n",
    ],
)
def test_the_usual_ways_to_write_data_yaml_are_read(tmp_path: Path, text: str) -> None:
    write(tmp_path, "set/images/train/a.png", "1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "set/list.txt").write_text("./images/train/a.png\n")

    data = described(tmp_path / "set", text)

    assert data.info.class_names == ("cat", "dog")
    assert [record.file_name for record in data.records] == ["a.png"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.5", r"no box: 1\n.*a\.txt:2: expected class x y width height, got '0 0\.5 0\.5 0\.5'"),
        ("0 0.5 0.5 0.5 0.5 0.9", r"no box: 1\n.*a\.txt:2"),
        ("cat 0.5 0.5 0.5 0.5", r"no box: 1\n.*a\.txt:2"),
        ("2 0.5 0.5 0.5 0.5", r"unknown class: 1\n.*a\.txt:2: class 2, the names are 0 to 1"),
        ("-1 0.5 0.5 0.5 0.5", r"unknown class: 1\n"),
        ("0.5 0.5 0.5 0.5 0.5", r"unknown class: 1\n"),
        ("0 0.5 0.5 0 0.5", r"zero or negative size: 1\n.*a\.txt:2: .* in a\.png of 64 x 48"),
        ("0 0.5 0.5 -0.1 0.5", r"zero or negative size: 1\n"),
        ("0 0.5 0.5 nan 0.5", r"not finite: 1\n"),
        ("0 32 24 10 10", r"outside the image: 1\n.*a\.txt:2"),  # pixels, not shares
    ],
)
def test_a_broken_line_is_an_error_or_dropped(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path, "images/train/a.png", f"1 0.5 0.5 0.5 0.5\n{line}\n")

    with pytest.raises(DataError, match=message):
        described(tmp_path)
    assert described(tmp_path, on_bad="drop").records[0].labels.tolist() == [1]


def test_a_broken_image_is_an_error_or_dropped(tmp_path: Path) -> None:
    write(tmp_path, "images/train/a.png", "1 0.5 0.5 0.5 0.5\n")
    write(tmp_path, "images/train/b.png", "1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "images/train/b.png").write_bytes(b"")

    with pytest.raises(DataError, match=r"b\.png: expected an image .*got an empty file"):
        described(tmp_path)
    assert [record.file_name for record in described(tmp_path, on_bad="drop").records] == ["a.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [cat", r"data\.yaml: is not YAML"),
        ("- cat", r"expected a mapping with names and splits"),
        ("train: images/train", r"expected 'names', a list of the classes"),
        ("train: images/train\nnames: {1: cat, 2: dog}", r"'names' with the keys 0 to 1, got 1, 2"),
        ("train: images/train\nnames: [cat]\nnc: 2", r"'nc' is 2, but 'names' has 1: cat"),
        ("train: images/train\nnames: [yes, dog]", r"the class name True is no string; put the word in quotes"),
        ("tain: images/train\nnames: [cat]", r"names no images for SPLIT 'train'\. Did you mean 'tain'\?"),
        ("train: images/trian\nnames: [cat]", r"trian: no such folder of images\. Did you mean 'train'\?"),
        ("train: labels/train\nnames: [cat]", r"no images in .*labels/train; expected files that end in "),
    ],
)
def test_a_wrong_data_yaml_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "images/train/a.png", "0 0.5 0.5 0.5 0.5\n")

    with pytest.raises(DataError, match=message):
        described(tmp_path, text)


def test_images_none_of_which_has_labels_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "images/train/a.png", None)

    with pytest.raises(DataError, match=r"no labels: none of 1 images has a file like .*labels/train/a\.txt"):
        described(tmp_path)


@pytest.mark.parametrize("options", [{}, {"images": "x"}, {"classes": ["a"]}, {"data": "d", "images": "x", "classes": ["a"]}])
def test_neither_or_both_ways_to_name_the_images_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected DATA, or IMAGES and CLASSES"):
        YOLODataset(**options)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_real_labels_give_the_samples_of_their_coco_form(real_data: Path, split: str) -> None:
    # the README of these data: both forms describe the same boxes to half a pixel, areas from the published shares
    yolo = YOLODataset("txl_pbc/data.yaml", split, root=str(real_data))
    coco = COCODataset(f"txl_pbc/annotations/txl_pbc_{split}.json", "txl_pbc/images", root=str(real_data), check_images=False)

    assert yolo.info.class_names == coco.info.class_names
    for one, other in zip(yolo.records, coco.records, strict=True):
        assert f"{split}/{one.file_name}" == other.file_name
        assert (one.height, one.width) == (other.height, other.width)
        assert np.array_equal(one.labels, other.labels)
        assert np.abs(one.boxes - other.boxes).max() <= 0.5
        assert one.areas == pytest.approx(other.areas, rel=1e-3)
