from __future__ import annotations

import json
from pathlib import Path

import pytest

from dettoolkit.cli.main import run_command
from dettoolkit.config import load_config

SMALL = ["--config-file", "quick_start.yaml", "DATASETS.CATALOG.shapes_train.NUM_IMAGES", "30"]


def test_tables_are_printed_and_the_exit_code_says_that_something_is_to_be_mended(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("check-anchors", SMALL) == 1
    text = capsys.readouterr().out
    for words in ("Best possible recall", "only by force", "load of the levels", "To be written behind a command", "warning: "):
        assert words in text


def test_json_has_the_same_and_its_overrides_load(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("check-anchors", [*SMALL, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {"overall", "by_size", "by_class", "matched", "findings", "suggestions"} <= told.keys()
    for each in told["suggestions"]:
        load_config("quick_start.yaml", each["overrides"])


def test_fewer_images_and_no_suggestions(capsys: pytest.CaptureFixture[str]) -> None:
    run_command("check-anchors", [*SMALL, "--json", "--no-suggestions", "--num-images", "4"])
    told = json.loads(capsys.readouterr().out)
    assert (told["num_images"], told["suggestions"]) == (4, [])


def test_anchors_that_fit_give_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("check-anchors", [*SMALL, "--no-suggestions", "MODEL.NECK.LEVELS", "[2, 7]"]) == 0
    assert "hint: levels" in capsys.readouterr().out


def test_no_images_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("check-anchors", [*SMALL, "--num-images", "0"]) == 2
    assert "--num-images: expected 1 or more, got 0" in capsys.readouterr().err


def sparse(folder: Path, boxes: int) -> list[str]:
    """Write a set of 1200 images of which the first has objects, and return the arguments for it."""
    images = [{"id": index, "file_name": f"{index}.png", "width": 300, "height": 200} for index in range(1200)]
    annotations = [{"image_id": 0, "category_id": 1, "bbox": [10 * index, 20, 9, 9]} for index in range(boxes)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (folder / "set.json").write_text(json.dumps(content))
    (folder / "my.yaml").write_text(
        f"_BASE_: tiny.yaml\nDATASETS:\n  ROOT: {folder}\n  TRAIN: [mine]\n  TEST: []\n"
        "  CATALOG: {mine: {NAME: COCODataset, ANNOTATIONS: set.json, CHECK_IMAGES: false}}\n"
    )
    return ["--config-file", str(folder / "my.yaml")]


@pytest.mark.parametrize("seed", ["0", "1", "2", "3"])
def test_changes_are_computed_with_images_that_have_objects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seed: str
) -> None:
    assert run_command("check-anchors", [*sparse(tmp_path, 5), "--json", "SEED", seed]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["suggestions"][0]["words"] == "as configured"


def test_a_set_without_objects_is_no_set_that_anchors_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("check-anchors", sparse(tmp_path, 0)) == 2
    assert "mine: no object in 1200 images after DATASETS.TRAIN_TRANSFORMS" in capsys.readouterr().err
