from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fvcore.common.config import CfgNode
from PIL import Image

from dettoolkit.data import build_dataset, build_train_dataset, catalog, check_same_classes, register_dataset
from dettoolkit.data.datasets import COCODataset
from dettoolkit.errors import ConfigError, DataError
from dettoolkit.structures import DatasetInfo

NODE = {"NAME": "COCODataset", "ANNOTATIONS": "a.json"}


@pytest.fixture(autouse=True)
def _empty_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "_registered", {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sets of the same class, a.json with images 1 (a box) and 2 (none), b.json with image 1 (a box)."""
    for name, shade in (("a.png", 10), ("b.png", 20), ("c.png", 30)):
        Image.new("L", (8, 8), shade).save(tmp_path / name)
    write(tmp_path, "a", ["a.png", "b.png"])
    write(tmp_path, "b", ["c.png"])
    return tmp_path


def write(folder: Path, name: str, images: list[str], category: str = "cat") -> None:
    content = {
        "images": [{"id": index, "file_name": image} for index, image in enumerate(images, start=1)],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4]}],
        "categories": [{"id": 1, "name": category}],
    }
    (folder / f"{name}.json").write_text(json.dumps(content))


def config(root: Path | None, train: tuple[str, ...] = ("a",), empty_images: str = "keep", **nodes: Any) -> CfgNode:
    nodes = nodes or {name: {"NAME": "COCODataset", "ANNOTATIONS": f"{name}.json"} for name in ("a", "b")}
    section = {
        "ROOT": None if root is None else str(root),
        "CATALOG": nodes,
        "TRAIN": list(train),
        "ON_BAD": "error",
        "EMPTY_IMAGES": empty_images,
    }
    return CfgNode({"DATASETS": section})


def test_a_name_of_the_config_gives_its_data_set(folder: Path) -> None:
    data = build_dataset(config(folder), "a")

    assert isinstance(data, COCODataset)
    assert data.info == DatasetInfo("a", ("cat",), (1,))
    assert len(data) == 2


def test_a_root_of_null_is_the_environment_variable_or_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETTOOLKIT_DATA", str(folder))
    assert len(build_dataset(config(None), "a")) == 2

    monkeypatch.delenv("DETTOOLKIT_DATA")
    monkeypatch.chdir(folder)
    with pytest.raises(DataError, match=r"data/a\.json: no such annotation file"):
        build_dataset(config(None), "a")


@pytest.mark.parametrize(
    ("root", "variable", "sentence"),
    [
        ("set", None, r"DATASETS\.ROOT is 'set'\.$"),
        (None, "variable", r"That is 'variable', from the environment variable DETTOOLKIT_DATA\.$"),
        (None, None, r"That is 'data', the default: the config does not set it, nor does .* DETTOOLKIT_DATA\.$"),
    ],
)
def test_a_missing_file_says_where_the_root_comes_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch, root: str | None, variable: str | None, sentence: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DETTOOLKIT_DATA", raising=False)
    if variable is not None:
        monkeypatch.setenv("DETTOOLKIT_DATA", variable)
    with pytest.raises(
        DataError, match=r"a\.json: no such annotation file\..* Paths .* relative to DATASETS\.ROOT\. " + sentence
    ):
        build_dataset(config(None if root is None else Path(root)), "a")


def test_an_unknown_name_is_refused_with_the_nearest(folder: Path) -> None:
    register_dataset("validation", NODE)

    with pytest.raises(ConfigError, match=r"no data set 'validaton'\. Did you mean 'validation'\? .*has: a, b, validation"):
        build_dataset(config(folder), "validaton")


def test_a_wrong_parameter_names_its_key(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"DATASETS\.CATALOG\.a\.ANNOTATION: .*Did you mean 'ANNOTATIONS'"):
        build_dataset(config(folder, a={"NAME": "COCODataset", "ANNOTATION": "a.json"}), "a")


def test_files_at_fault_are_a_data_error_that_names_the_entry(folder: Path) -> None:
    (folder / "a.json").write_text("{")

    with pytest.raises(DataError, match=r"DATASETS\.CATALOG\.a: .*a\.json: expected an annotation file in JSON"):
        build_dataset(config(folder), "a")


def test_empty_images_are_dropped_from_training_only(folder: Path) -> None:
    assert len(build_dataset(config(folder, train=("a",), empty_images="drop"), "a")) == 1
    assert len(build_dataset(config(folder, train=("b",), empty_images="drop"), "a")) == 2


def test_registering_the_same_again_is_allowed(folder: Path) -> None:
    register_dataset("mine", NODE)
    register_dataset("mine", dict(NODE))

    assert len(build_dataset(config(folder), "mine")) == 2


def test_registering_something_else_under_a_name_shows_the_difference(folder: Path) -> None:
    register_dataset("mine", NODE)

    with pytest.raises(ConfigError, match=r"'mine' is registered and differs:\n  ANNOTATIONS: 'a\.json' .* 'b\.json' came\n"):
        register_dataset("mine", {**NODE, "ANNOTATIONS": "b.json"})
    with pytest.raises(ConfigError, match=r"IMAGES: '\(not set\)' is registered, 'x' came"):
        register_dataset("mine", {**NODE, "IMAGES": "x"})

    register_dataset("mine", {**NODE, "ANNOTATIONS": "b.json"}, overwrite=True)
    assert len(build_dataset(config(folder), "mine")) == 1


def test_several_training_sets_follow_one_another(folder: Path) -> None:
    data = build_train_dataset(config(folder, train=("a", "b")))

    assert len(data) == len(data.records) == 3
    assert [data[index]["file_name"] for index in (0, 1, 2, -1)] == ["a.png", "b.png", "c.png", "c.png"]
    assert [int(data[index]["image"][0, 0, 0]) for index in range(3)] == [10, 20, 30]
    assert data.records.num_boxes.tolist() == [1, 0, 1]
    assert int(data.read_image(1)[0, 0, 0]) == 10  # the id stands in both: the first
    with pytest.raises(IndexError):
        data[3]


def test_training_sets_of_different_classes_are_refused(folder: Path) -> None:
    write(folder, "b", ["c.png"], category="dog")

    with pytest.raises(DataError, match="a has the classes cat; b has dog"):
        build_train_dataset(config(folder, train=("a", "b")))


def test_no_training_set_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"DATASETS\.TRAIN: expected the names"):
        build_train_dataset(config(folder, train=()))


def test_classes_are_compared_by_name_not_by_id() -> None:
    check_same_classes(DatasetInfo("train", ("cat", "dog"), (1, 2)), DatasetInfo("val", ("cat", "dog"), (7, 9)))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("dog", "cat"), "the same in another order"),
        (("cat", "dogs"), r"Only val has 'dogs'\. Did you mean 'dog'\? Only train has 'dog'\."),
        (("cat",), r"train has the classes cat, dog; val has cat\. Only train has 'dog'\."),
    ],
)
def test_different_classes_say_how_they_differ(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_same_classes(DatasetInfo("train", ("cat", "dog")), DatasetInfo("val", names))
