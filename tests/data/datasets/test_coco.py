from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dettoolkit.data.datasets import COCODataset
from dettoolkit.errors import DataError

CATEGORIES = [{"id": 9, "name": "dog"}, {"id": 4, "name": "cat"}]


def image(image_id: int | str = 1, file_name: str = "a.png", width: int = 64, height: int = 48) -> dict[str, Any]:
    return {"id": image_id, "file_name": file_name, "width": width, "height": height}


def box(*numbers: Any, image_id: int | str = 1, category_id: int = 4, **more: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category_id, "bbox": list(numbers), **more}


def dataset(folder: Path, annotations: list[Any], images: list[Any] | None = None, **options: Any) -> COCODataset:
    """Write 64 x 48 images a.png, b.png and the annotations, and read them."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (64, 48), (10, 20, 30)).save(folder / name)
    content = {"images": images or [image()], "annotations": annotations, "categories": CATEGORIES}
    (folder / "set.json").write_text(json.dumps(content))
    return COCODataset("set.json", root=str(folder), name="mine", **options)


def test_a_sample_holds_the_image_and_its_boxes(tmp_path: Path) -> None:
    sample = dataset(tmp_path, [box(1, 2, 10, 20), box(5, 5, 4, 4, category_id=9, area=7.5)])[0]

    assert sample["image"].shape == (3, 48, 64)
    assert sample["image"][:, 0, 0].tolist() == [10, 20, 30]
    assert sample["boxes"].tolist() == [[1, 2, 11, 22], [5, 5, 9, 9]]
    assert sample["boxes"].canvas_size == (48, 64)
    assert sample["labels"].tolist() == [0, 1]  # in the order of the ids 4, 9
    assert sample["ignore"].tolist() == [False, False]
    assert (sample["image_id"], sample["file_name"], sample["original_size"]) == (1, "a.png", (48, 64))
    assert sample["original_areas"].tolist() == [200, 7.5]  # 10 * 20 where the file has none
    assert torch.equal(sample["original"].boxes, sample["boxes"].as_subclass(torch.Tensor))


def test_labels_follow_category_ids_or_the_classes_asked_for(tmp_path: Path) -> None:
    every = dataset(tmp_path, [box(1, 2, 3, 4)])
    swapped = dataset(tmp_path, [box(1, 2, 3, 4)], classes=["dog", "cat"])

    assert (every.info.class_names, every.info.category_ids) == (("cat", "dog"), (4, 9))
    assert (swapped.info.class_names, swapped.info.category_ids) == (("dog", "cat"), (9, 4))
    assert swapped.records[0].labels.tolist() == [1]


def test_labels_may_be_the_category_ids_with_their_gaps(tmp_path: Path) -> None:
    gaps = dataset(tmp_path, [box(1, 2, 3, 4), box(1, 2, 3, 4, category_id=9)], labels="category_id")

    assert gaps.info.num_classes == 10  # ids 0..9, of which the file has 4 and 9
    assert gaps.info.category_ids == tuple(range(10))
    assert (gaps.info.class_names[4], gaps.info.class_names[9], gaps.info.class_names[0]) == ("cat", "dog", "(no category 0)")
    assert gaps.records[0].labels.tolist() == [4, 9]


def test_a_category_id_too_large_for_a_label_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text(
        json.dumps({"images": [image()], "annotations": [], "categories": [{"id": 4_000_000_000, "name": "cat"}]})
    )
    with pytest.raises(DataError, match=r"LABELS category_id expects ids in 0\.\.9999, got 4000000000"):
        COCODataset("set.json", root=str(tmp_path), labels="category_id")


def test_boxes_of_classes_not_asked_for_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    data = dataset(tmp_path, [box(1, 2, 3, 4), box(5, 6, 7, 8, category_id=9)], classes=["dog"])

    assert data.records[0].boxes.tolist() == [[5, 6, 12, 14]]
    assert "not in CLASSES (cat): 1" in caplog.text


def test_crowds_are_ignored(tmp_path: Path) -> None:
    data = dataset(tmp_path, [box(1, 2, 3, 4, iscrowd=1), box(1, 2, 3, 4, iscrowd=0)])

    assert data[0]["ignore"].tolist() == [True, False]


def test_empty_images_are_kept_by_default(tmp_path: Path) -> None:
    images, annotations = [image(1), image(2, "b.png")], [box(1, 2, 3, 4)]

    kept = dataset(tmp_path, annotations, images)
    dropped = dataset(tmp_path, annotations, images, empty_images="drop")

    assert [record.image_id for record in kept.records] == [1, 2]
    assert kept[1]["boxes"].shape == (0, 4)
    assert [record.image_id for record in dropped.records] == [1]


def test_sizes_missing_in_the_file_are_read_from_the_images(tmp_path: Path) -> None:
    data = dataset(tmp_path, [], [{"id": 1, "file_name": "a.png"}], check_images=False)

    assert data.records.sizes.tolist() == [[48, 64]]


def test_a_data_set_survives_pickling_as_under_spawn(tmp_path: Path) -> None:
    data = pickle.loads(pickle.dumps(dataset(tmp_path, [box(1, 2, 3, 4)])))

    assert data[0]["boxes"].tolist() == [[1, 2, 4, 6]]
    assert data.read_image(1).shape == (3, 48, 64)
    with pytest.raises(KeyError, match="mine: no image has the id 5"):
        data.read_image(5)


# Each box is broken; the message has its place, and what is accepted or what it must fit
BROKEN_BOXES = {
    "zero width": (box(1, 2, 0, 4, id=7), r"zero or negative size: 1\n.*set\.json: annotation 7: .*\[1, 2, 1, 6\] in a\.png"),
    "negative height": (box(1, 2, 3, -4, id=7), r"zero or negative size: 1\n.*annotation 7: "),
    "outside": (box(70, 2, 3, 4, id=7), r"outside the image: 1\n.*annotation 7: .* of 64 x 48"),
    "far over the edge": (box(60, 2, 10, 4, id=7), r"outside the image: 1\n.*annotation 7: .* of 64 x 48"),
    "just past the edge": (box(64.5, 2, 1, 4, id=7), r"outside the image: 1\n.*annotation 7: "),
    "not a number": (box(float("nan"), 2, 3, 4, id=7), r"not finite: 1\n.*annotation 7: "),
    "infinite": (box(1, 2, float("inf"), 4, id=7), r"not finite: 1\n.*annotation 7: "),
    "three numbers": (box(1, 2, 3, id=7), r"not four numbers: 1\n.*annotation 7: expected bbox \[x, y, width, height\]"),
    "words": (box("1", 2, 3, 4, id=7), r"not four numbers: 1\n.*annotation 7: "),
    "no id": (box(1, 2, 0, 4), r"set\.json: annotation 1 \(from 0\): "),
    "unknown category": (box(1, 2, 3, 4, category_id=5, id=7), r"annotation 7: category_id 5, 'categories' has 9, 4"),
    "unknown image": (box(1, 2, 3, 4, image_id=8, id=7), r"annotation 7: image_id 8 is not in 'images'"),
}


@pytest.mark.parametrize("case", BROKEN_BOXES)
def test_a_broken_box_is_an_error_or_dropped(tmp_path: Path, case: str, caplog: pytest.LogCaptureFixture) -> None:
    broken, message = BROKEN_BOXES[case]
    annotations = [box(1, 2, 3, 4, id=6), broken]

    with pytest.raises(DataError, match=message):
        dataset(tmp_path, annotations)
    data = dataset(tmp_path, annotations, on_bad="drop")

    assert data.records[0].boxes.tolist() == [[1, 2, 4, 6]]
    assert ": 1\n" in caplog.text


def test_a_box_up_to_two_pixels_over_the_edge_is_clipped(tmp_path: Path) -> None:
    data = dataset(tmp_path, [box(-2, -0.5, 68, 50.5)])

    assert data.records[0].boxes.tolist() == [[0, 0, 64, 48]]


def test_all_kinds_of_faults_come_in_one_report_that_is_capped(tmp_path: Path) -> None:
    annotations = [box(1, 2, 0, 4, id=index) for index in range(100)] + [box(100, 2, 3, 4, id=100)]

    with pytest.raises(DataError, match=r"mine: 101 of its images and boxes are broken") as caught:
        dataset(tmp_path, annotations)

    message = str(caught.value)
    assert "zero or negative size: 100" in message
    assert "outside the image: 1" in message
    assert message.count("annotation") == 6  # five examples of one kind, one of the other
    assert "ON_BAD: drop" in message


def test_repeated_annotation_ids_are_an_error_and_harmless_when_dropping(tmp_path: Path) -> None:
    annotations = [box(1, 2, 3, 4, id=7), box(5, 6, 7, 8, id=7)]

    with pytest.raises(DataError, match=r"repeated annotation ids: 1\n.*annotation 7"):
        dataset(tmp_path, annotations)

    assert len(dataset(tmp_path, annotations, on_bad="drop").records[0].boxes) == 2


def test_of_repeated_image_ids_the_first_is_kept(tmp_path: Path) -> None:
    images = [image(1), image(1, "b.png")]

    with pytest.raises(DataError, match=r"repeated image ids: 1\n.*image 1: 'b\.png' and 'a\.png'"):
        dataset(tmp_path, [], images)

    assert [record.file_name for record in dataset(tmp_path, [], images, on_bad="drop").records] == ["a.png"]


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "x/../../a.png", "..\\a.png", "C:\\a.png"])
def test_a_file_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="outside of the folder of images: 1"):
        dataset(tmp_path, [], [image(file_name=name)])


@pytest.mark.parametrize(
    ("file_name", "message"),
    [
        ("gone.png", r"images that cannot be read: 1\n.*gone\.png: no such image file"),
        ("text.png", r"images that cannot be read: 1\n.*text\.png: expected an image"),
        ("small.png", r"image 2: small\.png: the annotations say 64 x 48 \(width x height\), the image is 30 x 20"),
        ("turned.png", r"image 2: turned\.png: .*the image is 48 x 64: width and height are swapped.*EXIF"),
    ],
)
def test_an_image_found_bad_by_its_header_is_an_error_or_dropped(tmp_path: Path, file_name: str, message: str) -> None:
    (tmp_path / "text.png").write_text("no image")
    Image.new("RGB", (30, 20)).save(tmp_path / "small.png")
    Image.new("RGB", (48, 64)).save(tmp_path / "turned.png")
    images = [image(1), image(2, file_name)]

    with pytest.raises(DataError, match=message):
        dataset(tmp_path, [], images)

    assert [record.image_id for record in dataset(tmp_path, [], images, on_bad="drop").records] == [1]


def cut_short(path: Path) -> None:
    Image.effect_noise((64, 48), 50).save(path)
    path.write_bytes(path.read_bytes()[:1000])


def test_an_image_found_bad_when_decoded_is_an_error_that_names_it(tmp_path: Path) -> None:
    cut_short(tmp_path / "cut.png")
    data = dataset(tmp_path, [box(1, 2, 3, 4)], [image(1, "cut.png")])

    with pytest.raises(DataError, match=r"cut\.png: cannot be decoded.*DATASETS\.ON_BAD: drop"):
        data[0]


def test_an_image_found_bad_when_decoded_becomes_black_and_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cut_short(tmp_path / "cut.png")
    data = dataset(tmp_path, [box(1, 2, 3, 4)], [image(1, "cut.png"), image(2)], on_bad="drop")

    sample, _ = data[0], data[0]

    assert len(data) == 2  # the stream of the others stays as it is
    assert (sample["image"].shape, int(sample["image"].max())) == ((3, 48, 64), 0)
    assert sample["boxes"].shape == (0, 4)
    assert len(sample["original"]) == len(sample["original_areas"]) == 0
    assert caplog.text.count("left out") == caplog.text.count("cut.png") == 1  # told once


def test_without_the_check_a_wrong_size_is_found_when_decoded(tmp_path: Path) -> None:
    data = dataset(tmp_path, [], [image(width=48, height=64)], check_images=False)

    with pytest.raises(DataError, match=r"mine: a\.png: the annotations say 48 x 64 .* the image is 64 x 48.*EXIF"):
        data[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"set\.json: expected an annotation file in JSON, it is not: "),
        ("[]", r"set\.json: expected an object with images, annotations, categories, got a list"),
        ('{"images": [], "annotation": [], "categories": []}', r"has no 'annotations'\. Did you mean 'annotation'\?"),
        ('{"images": {}, "annotations": [], "categories": []}', r"expected a list of objects in 'images'"),
        ('{"images": [], "annotations": [], "categories": []}', r"'categories' is empty"),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            r"category id 1 or name 'b' stands twice",
        ),
        ('{"images": [], "annotations": [], "categories": [{"id": "1", "name": "a"}]}', r"whole number 'id'"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}', r"no image is left.*name none"),
    ],
)
@pytest.mark.parametrize("on_bad", ["error", "drop"])
def test_a_file_that_is_no_coco_file_says_what_is_wrong(tmp_path: Path, text: str, message: str, on_bad: Any) -> None:
    (tmp_path / "set.json").write_text(text)

    with pytest.raises(DataError, match=message):
        COCODataset("set.json", root=str(tmp_path), on_bad=on_bad)


def test_missing_files_and_folders_name_the_nearest(tmp_path: Path) -> None:
    dataset(tmp_path, [])

    with pytest.raises(DataError, match=r"Did you mean 'set\.json'\? Paths in the config are relative to DATASETS\.ROOT\."):
        COCODataset("sett.json", root=str(tmp_path))
    with pytest.raises(DataError, match=r"pictures: no such folder of images\. .*relative to DATASETS\.ROOT"):
        COCODataset("set.json", "pictures", root=str(tmp_path))
    with pytest.raises(DataError, match=r"CLASSES names 'cat' twice; expected each class once"):
        COCODataset("set.json", root=str(tmp_path), classes=["cat", "dog", "cat"])
    with pytest.raises(DataError, match=r"CLASSES names 'catt'\. Did you mean 'cat'\? Its categories: dog, cat"):
        COCODataset("set.json", classes=["catt"], root=str(tmp_path))


def test_a_set_that_the_filters_emptied_says_what_each_left_out(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no image is left\. Left out: .*\(EMPTY_IMAGES: drop\): 1\. Classes expected: cat, dog"
    ):
        dataset(tmp_path, [], empty_images="drop")
    with pytest.raises(DataError, match=r"of 1 images, no box is left\. .*not in CLASSES \(cat\): 2\. Classes expected: dog"):
        dataset(tmp_path, [box(1, 2, 3, 4), box(1, 2, 3, 4)], classes=["dog"])
    with pytest.raises(DataError, match=r"of 1 images, no box is left\. .*zero or negative size: 1"):
        dataset(tmp_path, [box(1, 2, 0, 4)], on_bad="drop")


def test_a_set_that_never_had_a_box_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert len(dataset(tmp_path, [])) == 1
    assert "mine: none of its 1 images has a box: there is nothing to learn from it but background" in caplog.text
    caplog.clear()
    dataset(tmp_path, [box(1, 2, 3, 4)])
    assert "has a box" not in caplog.text


def test_real_annotations_have_the_numbers_of_their_readme(real_data: Path) -> None:
    data = COCODataset("txl_pbc/annotations/txl_pbc_test.json", "txl_pbc/images", root=str(real_data))

    labels = [int(label) for record in data.records for label in record.labels]
    assert len(data) == 144
    assert data.info.class_names == ("WBC", "RBC", "Platelets")
    assert [labels.count(label) for label in range(3)] == [155, 2456, 76]
    assert data.read_image(data.records[0].image_id).shape == (3, *data.records.sizes[0])
