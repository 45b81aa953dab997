"""One fault of each kind, planted in a sound set: each is found, and where it is; the sound set has none."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

Copy = Any  # of conftest.py


def test_a_sound_set_has_no_findings(copy: Copy) -> None:
    assert copy.findings() == {}
    assert copy.check().is_clean


def _no_area(copy: Copy) -> str:
    copy.annotation(10, 10, 0, 5, image=1)
    return copy.images[1]["file_name"]


def _negative(copy: Copy) -> str:
    copy.annotation(30, 30, -10, 12, image=1)
    return copy.images[1]["file_name"]


def _outside(copy: Copy) -> str:
    width = copy.images[2]["width"]
    copy.annotation(width - 10, 10, 13, 20, image=2)  # 3 pixels over the edge
    return copy.images[2]["file_name"]


def _not_finite(copy: Copy) -> str:
    copy.annotation(math.nan, 10, 10, 20, image=2)
    return copy.images[2]["file_name"]


def _twice(copy: Copy) -> str:
    box = copy.annotations[0]
    x, y, width, height = box["bbox"]
    copy.annotation(x + 1, y, width, height, category=box["category_id"])
    return copy.images[0]["file_name"]


def _two_classes(copy: Copy) -> str:
    box = copy.annotations[0]
    copy.annotation(*box["bbox"], category=box["category_id"] % 3 + 1)
    return copy.images[0]["file_name"]


def _swapped_corners(copy: Copy) -> str:
    for content in (copy.train, copy.val):
        for box in content["annotations"]:
            x, y, width, height = box["bbox"]
            box["bbox"] = [x, y, x + width, y + height]
    return ""


def _sizes_for_corners(copy: Copy) -> str:
    for box in copy.annotations:  # a file of corners that a tool turned into sizes, though they were sizes before
        x, y, width, height = box["bbox"]
        box["bbox"] = [x, y, width - x, height - y]
    return ""


def _normalised(copy: Copy) -> str:
    sizes = {image["id"]: (image["width"], image["height"]) * 2 for image in copy.images}
    for box in copy.annotations:
        box["bbox"] = [number / side for number, side in zip(box["bbox"], sizes[box["image_id"]], strict=True)]
    return ""


def _image_ids(copy: Copy) -> str:
    copy.images.append(dict(copy.images[3], file_name="other.jpg"))
    return ""


def _annotation_ids(copy: Copy) -> str:
    copy.annotation(10, 10, 20, 20, id=copy.annotations[0]["id"])
    return ""


def _unknown_category(copy: Copy) -> str:
    copy.annotation(10, 10, 20, 20, category=99)
    return ""


def _unknown_image(copy: Copy) -> str:
    copy.annotation(10, 10, 20, 20)["image_id"] = 12345678
    return ""


def _unused(copy: Copy) -> str:
    for content in (copy.train, copy.val):
        content["categories"].append({"id": 50, "name": "unicorn"})
    return ""


def _only_tested(copy: Copy) -> str:
    _unused(copy)
    copy.val["annotations"][0]["category_id"] = 50
    return ""


def _other_classes(copy: Copy) -> str:
    copy.val["categories"][0]["name"] = "something else"
    return ""


def _missing(copy: Copy) -> str:
    copy.file(4).unlink()
    return copy.images[4]["file_name"]


def _no_image(copy: Copy) -> str:
    copy.file(4).write_text("<html>404</html>")
    return copy.images[4]["file_name"]


def _truncated(copy: Copy) -> str:
    data = copy.file(5).read_bytes()
    copy.file(5).write_bytes(data[: len(data) * 2 // 3])
    return copy.images[5]["file_name"]


def _mislabelled(copy: Copy) -> str:
    copy.open(5).save(copy.file(5), format="PNG")
    return copy.images[5]["file_name"]


def _other_size(copy: Copy) -> str:
    copy.images[6]["width"] += 40
    return copy.images[6]["file_name"]


def _turned(copy: Copy, orientation: int) -> str:
    image = copy.open(7)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(copy.file(7), quality=95, exif=exif)
    return copy.images[7]["file_name"]


def _exif_trap(copy: Copy) -> str:
    picture = copy.open(7)
    picture.crop((0, 0, picture.width, picture.height - 20)).save(copy.file(7), quality=95)
    copy.images[7]["height"] -= 20  # not square: the sizes tell
    kept = [box for box in copy.annotations if box["image_id"] != copy.images[7]["id"]]
    copy.train["annotations"] = kept
    copy.annotation(3, 4, 20, 30, image=7)
    return _turned(copy, 6)


def _exif_unclear(copy: Copy) -> str:
    return _turned(copy, 3)


def _listed_twice(copy: Copy) -> str:
    copy.images.append(dict(copy.images[8], id=777777))
    copy.annotation(10, 10, 20, 20, image=-1)
    return copy.images[8]["file_name"]


def _outside_folder(copy: Copy) -> str:
    shutil.copy(copy.file(8), copy.folder / "beside.jpg")
    copy.images[8]["file_name"] = "../beside.jpg"
    return "../beside.jpg"


def _copied(copy: Copy) -> str:
    shutil.copy(copy.file(9), copy.folder / "images/again.jpg")
    copy.images.append(dict(copy.images[9], id=777777, file_name="again.jpg"))
    copy.annotation(10, 10, 20, 20, image=-1)
    return copy.images[9]["file_name"]


def _leaked(copy: Copy) -> str:
    picture = copy.open(9)  # as another tool would export it
    small = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BICUBIC)
    small.save(copy.folder / "images/leaked.jpg", quality=80)
    copy.val["images"].append({"id": 777777, "file_name": "leaked.jpg", "width": small.width, "height": small.height})
    return copy.images[9]["file_name"]


# kind of finding -> what is planted, how many are to be found, what else it cannot but show
PLANTED: dict[str, tuple[Callable[[Copy], str], int, set[str]]] = {
    "boxes-without-area": (_no_area, 1, set()),
    "boxes-outside-image": (_outside, 1, set()),
    "boxes-not-finite": (_not_finite, 1, set()),
    "duplicate-boxes": (_twice, 1, set()),
    "same-box-two-classes": (_two_classes, 1, set()),
    "duplicate-image-ids": (_image_ids, 1, set()),
    "duplicate-annotation-ids": (_annotation_ids, 1, set()),
    "unknown-category": (_unknown_category, 1, set()),
    "unknown-image": (_unknown_image, 1, set()),
    "unused-class": (_unused, 1, set()),
    "class-not-in-training": (_only_tested, 1, set()),
    "classes-differ": (_other_classes, 1, {"class-not-in-training"}),
    "missing-image": (_missing, 1, set()),
    "unreadable-image": (_no_image, 1, set()),
    "truncated-image": (_truncated, 1, set()),
    "mislabelled-image": (_mislabelled, 1, set()),
    "image-size-mismatch": (_other_size, 1, set()),
    "exif-trap": (_exif_trap, 1, set()),
    "exif-orientation": (_exif_unclear, 1, set()),
    "repeated-file": (_listed_twice, 1, set()),
    "same-picture": (_copied, 1, set()),
    "leaked-picture": (_leaked, 1, set()),
    "image-outside-folder": (_outside_folder, 1, set()),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_fault_is_found_where_it_is(copy: Copy, kind: str) -> None:
    plant, count, others = PLANTED[kind]
    file_name = plant(copy)

    found = copy.findings()

    assert found[kind].count == count
    assert found.keys() - others == {kind}
    if file_name:
        assert found[kind].examples[0].file_name == file_name
    assert not copy.check().is_clean


def test_a_box_of_negative_size_has_no_area(copy: Copy) -> None:
    file_name = _negative(copy)
    found = copy.findings()
    assert [example.file_name for example in found["boxes-without-area"].examples] == [file_name]


@pytest.mark.parametrize(
    ("kind", "plant"),
    [
        ("xyxy-read-as-xywh", _swapped_corners),
        ("xywh-read-as-xyxy", _sizes_for_corners),
        ("normalised-coordinates", _normalised),
    ],
)
def test_boxes_that_are_read_in_another_way_than_they_are_meant(copy: Copy, kind: str, plant: Callable[[Copy], str]) -> None:
    number = len(copy.annotations)
    plant(copy)
    found = copy.findings()
    readings = {"xyxy-read-as-xywh", "xywh-read-as-xyxy", "normalised-coordinates", "pixels-read-as-shares"}
    assert found.keys() & readings == {kind}
    assert found[kind].count > number / 4
    assert next(iter(copy.check().findings)).kind == kind  # what explains the others comes first


def test_shifted_pictures_of_one_scene_are_found_where_they_are_looked_for(copy: Copy) -> None:
    picture = copy.open(9)
    width, height = picture.width * 3 // 4, picture.height * 3 // 4
    left, right = picture.crop((0, 0, width, height)), picture.crop((picture.width - width, 0, picture.width, height))
    left.save(copy.file(9), quality=95)
    copy.images[9].update(width=width, height=height)
    kept = [box for box in copy.annotations if box["image_id"] != copy.images[9]["id"]]
    copy.train["annotations"] = kept
    right.save(copy.folder / "images/right.jpg", quality=95)
    copy.val["images"].append({"id": 777777, "file_name": "right.jpg", "width": width, "height": height})

    assert copy.findings() == {}
    found = copy.findings(overlaps=True)

    assert found.keys() == {"leaked-scene"}
    assert {example.file_name for example in found["leaked-scene"].examples} == {copy.images[9]["file_name"], "right.jpg"}
