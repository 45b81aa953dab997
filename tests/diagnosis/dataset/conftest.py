"""Small data sets in COCO's format that faults are planted in: synthetic pictures, or real ones where they are."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from itertools import combinations
from operator import sub
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dettoolkit.config import load_config
from dettoolkit.data.datasets.shapes import ShapesDataset
from dettoolkit.diagnosis.dataset import DatasetCheck, check_datasets
from dettoolkit.structures import Finding


class Copy:
    """A training and a validation set in a folder, to plant faults in."""

    def __init__(self, folder: Path, train: dict[str, Any], val: dict[str, Any]) -> None:
        self.folder, self.train, self.val = folder, train, val

    @property
    def images(self) -> list[dict[str, Any]]:
        return self.train["images"]

    @property
    def annotations(self) -> list[dict[str, Any]]:
        return self.train["annotations"]

    def file(self, index: int) -> Path:
        return self.folder / "images" / self.images[index]["file_name"]

    def open(self, index: int) -> Image.Image:
        return Image.open(self.file(index)).convert("RGB")

    def annotation(self, *bbox: float, image: int = 0, category: int = 1, **more: Any) -> dict[str, Any]:
        """Add a box to an image of the training set."""
        number = max(annotation["id"] for annotation in self.annotations) + 1
        new = {"id": number, "image_id": self.images[image]["id"], "category_id": category, "bbox": list(bbox), "iscrowd": 0}
        self.annotations.append(new | more)
        return self.annotations[-1]

    def config(self, *overrides: str) -> Any:
        for name in ("train", "val"):
            (self.folder / f"{name}.json").write_text(json.dumps(getattr(self, name)))
        sets = {name: f"{{NAME: COCODataset, ANNOTATIONS: {name}.json, IMAGES: images}}" for name in ("train", "val")}
        rows = "".join(f"    {name}: {node}\n" for name, node in sets.items())
        text = f"_BASE_: tiny.yaml\nDATASETS:\n  ROOT: {self.folder}\n  CATALOG:\n{rows}  TRAIN: [train]\n  TEST: [val]\n"
        (self.folder / "mine.yaml").write_text(text)
        return load_config(str(self.folder / "mine.yaml"), list(overrides))

    def check(self, *overrides: str, **options: Any) -> DatasetCheck:
        return check_datasets(self.config(*overrides), ["train", "val"], **{"workers": 0} | options)

    def findings(self, *overrides: str, **options: Any) -> dict[str, Finding]:
        """Return what the check finds, by kind, without hints."""
        found = self.check(*overrides, **options).findings
        return {finding.kind: finding for finding in found if finding.severity != "hint"}


def _coco(images: list[dict[str, Any]], annotations: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _drawn(folder: Path, split: str, number: int) -> dict[str, Any]:
    dataset = ShapesDataset(split, number, 128)  # type: ignore[arg-type]
    images, annotations = [], []
    for index, sample in enumerate(dataset[i] for i in range(number)):
        name = f"{split}_{index}.jpg"
        Image.fromarray(sample["image"].permute(1, 2, 0).numpy()).crop((0, 0, 128, 120)).save(folder / name, quality=95)
        images.append({"id": index, "file_name": name, "width": 128, "height": 120})
        for (x1, y1, x2, y2), label in zip(sample["original"].boxes.tolist(), sample["labels"].tolist(), strict=True):
            if y2 <= 120:
                new = {"id": len(annotations), "image_id": index, "category_id": label + 1, "iscrowd": 0}
                annotations.append(new | {"bbox": [x1, y1, x2 - x1, y2 - y1]})
    return _coco(images, annotations, list(dataset.info.class_names))


@pytest.fixture(scope="session")
def drawn_source(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "images").mkdir()
    return Copy(folder, _drawn(folder / "images", "train", 12), _drawn(folder / "images", "val", 8))


@pytest.fixture(scope="session")
def real_source(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Copy:
    folder = tmp_path_factory.mktemp("real")
    (folder / "images").mkdir()
    return Copy(folder, _real(folder / "images", real_data, "train"), _real(folder / "images", real_data, "val"))


def _copied(source: Copy, folder: Path) -> Copy:
    shutil.copytree(source.folder / "images", folder / "images")
    return Copy(folder, deepcopy(source.train), deepcopy(source.val))


@pytest.fixture
def drawn(drawn_source: Copy, tmp_path: Path) -> Copy:
    """Twelve synthetic pictures to train on, eight to evaluate on."""
    return _copied(drawn_source, tmp_path)


@pytest.fixture
def real(real_source: Copy, tmp_path: Path) -> Copy:
    """Pictures of blood cells as they are published: twelve to train on, twelve to evaluate on."""
    return _copied(real_source, tmp_path)


def _real(folder: Path, real_data: Path, split: str) -> dict[str, Any]:
    content = json.loads((real_data / f"txl_pbc/annotations/txl_pbc_{split}.json").read_text())
    boxes = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        boxes[annotation["image_id"]].append(annotation["bbox"])
    # as it is published some 20 pictures of this set have boxes twice, or with two classes
    images = [image for image in content["images"] if not _stands_twice(boxes[image["id"]])][:12]
    for image in images:
        source = real_data / "txl_pbc/images" / image["file_name"]
        image["file_name"] = source.name
        shutil.copy(source, folder / source.name)
    ids = {image["id"] for image in images}
    annotations = [annotation for annotation in content["annotations"] if annotation["image_id"] in ids]
    return _coco(images, annotations, [category["name"] for category in content["categories"]])


def _stands_twice(boxes: list[list[float]]) -> bool:
    return any(max(map(abs, map(sub, one, other))) <= 4 for one, other in combinations(boxes, 2))


@pytest.fixture(params=["drawn", "real"])
def copy(request: pytest.FixtureRequest) -> Copy:
    """Each test once on synthetic pictures and once on real ones."""
    return request.getfixturevalue(request.param)
