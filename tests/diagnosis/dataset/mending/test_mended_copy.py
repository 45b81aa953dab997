"""A mended copy passes the check, says what was changed and leaves the original alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dettoolkit.config import load_config
from dettoolkit.data import build_dataset, build_train_dataset
from dettoolkit.data.image_io import read_image
from dettoolkit.diagnosis.dataset import check_datasets
from dettoolkit.diagnosis.dataset.mending import write_mended_copy
from dettoolkit.diagnosis.dataset.mending.boxes import turned_boxes

Copy = Any  # of conftest.py


def mend(copy: Copy, out: Path) -> tuple[dict[str, Any], list[str]]:
    """Write a mended copy, check that the check finds nothing in it, and return its training set and the changes."""
    before = {file: file.read_bytes() for file in copy.folder.rglob("*") if file.is_file()}
    out.mkdir()
    changes = write_mended_copy(copy.check(), copy.config(), out)
    assert all(file.read_bytes() == data for file, data in before.items() if file.name not in ("train.json", "val.json"))
    check = check_datasets(load_config(str(out / "config.yaml")), ["train", "val"], workers=0)
    assert [finding.kind for finding in check.findings if finding.severity != "hint"] == []
    assert json.loads((out / "changes.json").read_text())["changes"] == [vars(change) for change in changes]
    return json.loads((out / "train.json").read_text()), [str(change) for change in changes]


def test_a_sound_set_stays_as_it_is(copy: Copy, tmp_path: Path) -> None:
    train, changes = mend(copy, tmp_path / "out")
    assert changes == []
    assert (tmp_path / "out/changes.txt").read_text() == "nothing was changed\n"
    assert [row["file_name"] for row in train["images"]] == [row["file_name"] for row in copy.images]
    for one, other in zip(train["annotations"], copy.annotations, strict=True):
        assert (one["image_id"], one["category_id"], one["bbox"]) == (
            other["image_id"],
            other["category_id"],
            pytest.approx(other["bbox"]),
        )
    name = copy.images[0]["file_name"]
    assert (tmp_path / "out/images/train" / name).read_bytes() == copy.file(0).read_bytes()


def test_broken_boxes_are_removed_or_clipped(drawn: Copy, tmp_path: Path) -> None:
    before = len(drawn.annotations)
    drawn.annotation(10, 10, 0, 5, image=1)
    drawn.annotation(100, 10, 50, 20, image=2)  # the image is 128 wide
    drawn.annotation(300, 10, 50, 20, image=2)
    drawn.annotation(float("nan"), 10, 50, 20, image=2)

    train, changes = mend(drawn, tmp_path / "out")

    assert len(train["annotations"]) == before + 1
    assert [100, 10, 28, 20] in [row["bbox"] for row in train["annotations"]]
    assert [change.rpartition("] ")[2] for change in changes] == [
        "removed: of zero or negative size",
        "clipped to the image from [100, 10, 150, 30]",
        "removed: outside the image",
        "removed: with a number that is not finite",
    ]
    assert all("train: train_" in change and "annotation " in change for change in changes)


def test_boxes_that_stand_twice_are_removed_and_unclear_ones_ignored(drawn: Copy, tmp_path: Path) -> None:
    before = len(drawn.annotations)
    first, other = drawn.annotations[0], next(box for box in drawn.annotations if box["image_id"] == 3)
    drawn.annotation(*first["bbox"], category=first["category_id"])
    drawn.annotation(*other["bbox"], image=3, category=other["category_id"] % 6 + 1)

    train, changes = mend(drawn, tmp_path / "out")

    assert len(train["annotations"]) == before
    crowds = [row["bbox"] for row in train["annotations"] if row["iscrowd"]]
    assert crowds == [pytest.approx(other["bbox"])]
    assert len(changes) == 3


def test_boxes_are_read_in_the_way_that_they_are_meant(copy: Copy, tmp_path: Path) -> None:
    meant = [box["bbox"] for box in copy.annotations]
    copy.train["annotations"] = [
        box | {"bbox": [box["bbox"][0], box["bbox"][1], box["bbox"][0] + box["bbox"][2], box["bbox"][1] + box["bbox"][3]]}
        for box in copy.annotations
    ]

    train, changes = mend(copy, tmp_path / "out")

    assert [row["bbox"] for row in train["annotations"]] == [pytest.approx(bbox) for bbox in meant]
    assert all("boxes read anew (xyxy-read-as-xywh)" in change for change in changes)


def test_boxes_by_their_centre_are_read_so(copy: Copy, tmp_path: Path) -> None:
    meant = [box["bbox"] for box in copy.annotations]
    copy.train["annotations"] = [
        box | {"bbox": [x + width / 2, y + height / 2, width, height]}
        for box in copy.annotations
        for x, y, width, height in [box["bbox"]]
    ]

    train, changes = mend(copy, tmp_path / "out")

    assert [row["bbox"] for row in train["annotations"]] == [pytest.approx(bbox, abs=2.001) for bbox in meant]
    assert all("(centre-read-as-corner)" in change or "clipped" in change for change in changes)


def test_boxes_that_are_all_displaced_are_left_and_told(drawn: Copy, tmp_path: Path) -> None:
    for box in drawn.annotations:
        box["bbox"] = [box["bbox"][0] + 70, box["bbox"][1] + 70, *box["bbox"][2:]]
    written = [box["bbox"] for box in drawn.annotations]
    (tmp_path / "out").mkdir()

    changes = write_mended_copy(drawn.check(), drawn.config(), tmp_path / "out")

    assert changes == []
    train = json.loads((tmp_path / "out/train.json").read_text())
    assert [row["bbox"] for row in train["annotations"]] == [pytest.approx(bbox) for bbox in written]
    told = (tmp_path / "out/changes.txt").read_text()
    assert told.startswith("left as it is, for you to decide: boxes outside the image in data sets where more than a quarter")


def test_images_that_cannot_be_read_are_left_out_and_others_renamed(copy: Copy, tmp_path: Path) -> None:
    gone, no_image, cut, png, odd = (copy.images[index]["file_name"] for index in range(5))
    copy.file(0).unlink()
    copy.file(1).write_text("<html>404</html>")
    copy.file(2).write_bytes(copy.file(2).read_bytes()[:2000])
    copy.open(3).save(copy.file(3), format="PNG")
    copy.images[4]["width"] += 40

    train, changes = mend(copy, tmp_path / "out")

    names = [row["file_name"] for row in train["images"]]
    assert names[:2] == [str(Path(png).with_suffix(".png")), copy.images[5]["file_name"]]
    assert not {gone, no_image, cut, odd} & set(names)
    assert {row["image_id"] for row in train["annotations"]} <= {row["id"] for row in train["images"]}
    assert len(changes) == 5
    assert f"train: {png}: renamed to {Path(png).with_suffix('.png')}, by its format" in changes


def test_exchanged_width_and_height_are_corrected(drawn: Copy, tmp_path: Path) -> None:
    boxes, sizes = [box["bbox"] for box in drawn.annotations], [(row["width"], row["height"]) for row in drawn.images]
    for row in drawn.images:
        row["width"], row["height"] = row["height"], row["width"]
    finding = drawn.findings()["exchanged-size"]
    assert (finding.count, finding.examples[0].text) == (
        12,
        "train_0.jpg: the annotations say 120 x 128, the image is 128 x 120",
    )

    train, changes = mend(drawn, tmp_path / "out")

    assert [(row["width"], row["height"]) for row in train["images"]] == sizes
    assert [row["bbox"] for row in train["annotations"]] == [pytest.approx(bbox) for bbox in boxes]
    assert changes[0] == "train: train_0.jpg: size corrected to 128 x 120: width and height were exchanged"
    assert len(changes) == 12


def test_an_image_that_was_turned_after_its_boxes_is_no_exchanged_size(drawn: Copy, tmp_path: Path) -> None:
    drawn.open(0).transpose(Image.Transpose.ROTATE_90).save(drawn.file(0), quality=95)  # now 120 wide, 128 high
    drawn.annotation(100, 10, 28, 20, image=0)  # at the right edge of the 128 that the image had

    train, changes = mend(drawn, tmp_path / "out")

    assert len(train["images"]) == 11
    assert changes == ["train: train_0.jpg: image left out: it is 120 x 128, its annotations say 128 x 120"]


def test_boxes_of_an_image_that_was_resized_are_scaled(drawn: Copy, tmp_path: Path) -> None:
    drawn.open(0).resize((64, 60)).save(drawn.file(0), quality=95)
    box = drawn.annotations[0]["bbox"]

    train, changes = mend(drawn, tmp_path / "out")

    assert (train["images"][0]["width"], train["images"][0]["height"]) == (64, 60)
    assert train["annotations"][0]["bbox"] == [number / 2 for number in box]
    assert changes == ["train: train_0.jpg: boxes scaled by 0.5 x 0.5, to the size that the image has"]


def test_boxes_drawn_on_stored_pixels_are_turned_with_their_image(drawn: Copy, tmp_path: Path) -> None:
    image = drawn.open(7)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(drawn.file(7), quality=95, exif=exif)
    x, y, width, height = next(box for box in drawn.annotations if box["image_id"] == 7)["bbox"]

    train, changes = mend(drawn, tmp_path / "out")

    assert train["images"][7] == {"id": 7, "file_name": "train_7.png", "width": 120, "height": 128}
    # a quarter turn clockwise of an image 120 high: (x, y) comes to (120 - y, x)
    bbox = next(row for row in train["annotations"] if row["image_id"] == 7)["bbox"]
    assert bbox == [120 - y - height, x, height, width]
    mended = read_image(tmp_path / "out/images/train/train_7.png")
    assert torch.equal(mended, read_image(drawn.file(7)))  # turned pixels, to the last bit
    assert len(changes) == 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_as_pixels_do(orientation: int, tmp_path: Path) -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[5:15, 20:50] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)

    rows, columns = np.nonzero(read_image(tmp_path / "a.png")[0].numpy())

    (box,) = turned_boxes(np.array([[20.0, 5.0, 50.0, 15.0]]), (40, 60), orientation)
    assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_of_pictures_that_are_the_same_the_training_set_loses_its_own(copy: Copy, tmp_path: Path) -> None:
    copy.val["images"].append({**copy.images[9], "id": 777777})
    copy.images.append({**copy.images[8], "id": 888888})
    copy.annotation(2, 2, 9, 9, image=-1)

    train, changes = mend(copy, tmp_path / "out")

    assert [row["id"] for row in train["images"]] == [
        row["id"] for row in copy.images if row["id"] not in (copy.images[9]["id"], 888888)
    ]
    joined = [row for row in train["annotations"] if row["bbox"] == [2, 2, 9, 9]]
    assert [row["image_id"] for row in joined] == [copy.images[8]["id"]]  # the boxes of one file come together
    assert any("the same picture as" in change and "of val" in change for change in changes)


def test_ids_and_categories(copy: Copy, tmp_path: Path) -> None:
    for content in (copy.train, copy.val):
        content["categories"].append({"id": 50, "name": "unicorn"})
    copy.annotation(2, 2, 9, 9, category=99)
    copy.annotation(2, 2, 9, 9)["id"] = copy.annotations[0]["id"]
    copy.images.append({**copy.images[3], "file_name": "other.jpg"})

    train, changes = mend(copy, tmp_path / "out")

    ids = [row["id"] for row in train["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    assert "unicorn" not in {row["name"] for row in train["categories"]}
    words = [
        "left out (repeated image ids)",
        "numbered anew (repeated annotation ids)",
        "left out (boxes of an unknown category)",
    ]
    assert all(any(change.endswith(word) for change in changes) for word in words)


def test_what_only_people_can_decide_is_left_and_told(drawn: Copy, tmp_path: Path) -> None:
    drawn.val["categories"].append({"id": 50, "name": "unicorn"})
    drawn.train["categories"].append({"id": 50, "name": "unicorn"})
    drawn.val["annotations"][0]["category_id"] = 50
    (tmp_path / "out").mkdir()

    write_mended_copy(drawn.check(), drawn.config(), tmp_path / "out")

    told = (tmp_path / "out/changes.txt").read_text()
    assert "left as it is, for you to decide: classes that are evaluated on and never trained on: 1" in told


def test_the_config_of_a_part_of_the_sets_can_be_trained_with(drawn: Copy, tmp_path: Path) -> None:
    cfg = drawn.config("DATASETS.TRAIN", "[train, val]", "DATASETS.MIX", "{train: {WEIGHT: 2.0}, val: {FRACTION: 0.5}}")
    (tmp_path / "out").mkdir()
    write_mended_copy(check_datasets(cfg, ["train"], workers=0), cfg, tmp_path / "out")

    mended = load_config(str(tmp_path / "out/config.yaml"))
    assert (mended.DATASETS.TRAIN, mended.DATASETS.TEST) == (["train"], [])
    assert mended.DATASETS.MIX == {"train": {"WEIGHT": 2.0, "FRACTION": 1.0, "FRACTION_SEED": 0}}
    assert build_train_dataset(mended).image_weights.tolist() == [2.0] * 12


@pytest.mark.parametrize("name", ["yolo", "voc", "csv"])
def test_other_formats_become_coco_s(name: str, tmp_path: Path, written: Callable[[Path, str], Any]) -> None:
    cfg = written(tmp_path / "original", name)
    (tmp_path / "out").mkdir()
    changes = write_mended_copy(check_datasets(cfg, ["mine"], workers=0), cfg, tmp_path / "out")

    assert len(changes) == 1  # the box that stands twice
    dataset = build_dataset(load_config(str(tmp_path / "out/config.yaml")), "mine")
    assert type(dataset).__name__ == "COCODataset"
    assert dataset.info.class_names == ("cat", "dog")
    assert dataset.records[0].boxes.tolist() == [[10, 20, 50, 60]]
    assert dataset.records[0].labels.tolist() == [0]


@pytest.fixture
def written() -> Callable[[Path, str], Any]:
    """Write a set of two pictures in a format, with a box that stands twice, and return its config."""

    def write(folder: Path, name: str) -> Any:
        generator = np.random.default_rng(0)
        (folder / "images").mkdir(parents=True)
        for stem in ("a", "b"):
            Image.fromarray(generator.integers(0, 256, (80, 100, 3), np.uint8)).save(folder / f"images/{stem}.png")
        node = {"yolo": _write_yolo, "voc": _write_voc, "csv": _write_csv}[name](folder)
        text = f"_BASE_: tiny.yaml\nDATASETS:\n  ROOT: {folder}\n  CATALOG: {{mine: {node}}}\n  TRAIN: [mine]\n  TEST: []\n"
        (folder / "my.yaml").write_text(text)
        return load_config(str(folder / "my.yaml"))

    return write


def _write_yolo(folder: Path) -> str:
    (folder / "labels").mkdir()
    (folder / "labels/a.txt").write_text("0 0.3 0.5 0.4 0.5\n0 0.3 0.5 0.4 0.5\n")
    (folder / "labels/b.txt").write_text("1 0.5 0.5 0.4 0.5\n")
    return "{NAME: YOLODataset, IMAGES: images, CLASSES: [cat, dog]}"


def _write_voc(folder: Path) -> str:
    (folder / "Annotations").mkdir()
    box = "<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>50</xmax><ymax>60</ymax></bndbox>"
    cat, dog = (f"<object><name>{name}</name>{box}</object>" for name in ("cat", "dog"))
    size = "<size><width>100</width><height>80</height></size>"
    (folder / "Annotations/a.xml").write_text(f"<annotation>{size}{cat}{cat}</annotation>")
    (folder / "Annotations/b.xml").write_text(f"<annotation>{size}{dog}</annotation>")
    return "{NAME: VOCDataset, FOLDER: ., IMAGES: images}"


def _write_csv(folder: Path) -> str:
    rows = ("a.png,10,20,50,60,cat", "a.png,11,20,51,60,cat", "b.png,10,20,50,60,dog", "b.png,10,20,50,60,dog")
    (folder / "boxes.csv").write_text("path,x1,y1,x2,y2,class\n" + "\n".join(rows) + "\n")
    return "{NAME: CSVDataset, ANNOTATIONS: boxes.csv, IMAGES: images}"
