"""compare-runs: folders of two runs on the built-in pictures, with detections that are the truth disturbed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dettoolkit.cli.main import main
from dettoolkit.cli.run_differences import class_rows, config_differences, key_table, last_numbers, precision_table
from dettoolkit.config import dump_config, load_config
from dettoolkit.data import build_dataset
from dettoolkit.evaluation.analysis import Interval
from dettoolkit.visualization import save_picture

TWENTY = ["DATASETS.CATALOG.tiny.NUM_IMAGES", "20"]


def write_run(folder: Path, pixels: float, overrides: list[str] | None = None, seed: int = 0) -> Path:
    """A run that found every object, each side off by so many pixels, and as many false alarms of lower score."""
    cfg = load_config("tiny.yaml", TWENTY + (overrides or []))
    (folder / "inference/tiny").mkdir(parents=True)
    (folder / "config.yaml").write_text(dump_config(cfg), encoding="utf-8")
    dataset, generator = build_dataset(cfg, "tiny"), np.random.default_rng(seed)
    rows = [row for record in dataset.records for row in found_in(record, dataset.info, pixels, generator)]
    (folder / "inference/tiny/predictions.json").write_text(json.dumps(rows), encoding="utf-8")
    return folder


def found_in(record: Any, info: Any, pixels: float, generator: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for box, label in zip(record.boxes, record.labels, strict=True):
        x0, y0, x1, y1 = (box + generator.normal(0, pixels, 4)).tolist()
        found = {"image_id": record.image_id, "category_id": info.category_ids[label], "bbox": [x0, y0, x1 - x0, y1 - y0]}
        rows.append(found | {"score": float(generator.uniform(0.5, 1))})
        rows.append(found | {"bbox": [0.0, 0.0, 5.0, 5.0], "score": float(generator.uniform(0, 0.7))})
    return rows


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A blurred run, and one that is better; neither is written to by any test."""
    folder = tmp_path_factory.mktemp("runs")
    lines = [
        '{"iteration": 60, "bbox/AP": 0.1}',
        '{"iteration": 120, "loss": 1, "bbox/AP": 0.25, "validation/loss": 0.5}',
        '{"it',
    ]
    pair = write_run(folder / "a", 3.0), write_run(folder / "b", 0.5, ["SOLVER.BASE_LR", "0.123"])
    for run in pair:
        (run / "metrics.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return pair


def compare(first: Path, second: Path, *more: str) -> int:
    return main(["compare-runs", str(first), str(second), "--replicates", "60", *more])


def test_the_better_run_is_called_better_in_tables_and_words(runs, capsys) -> None:
    assert compare(*runs) == 0
    printed = capsys.readouterr().out
    assert f"A: {runs[0]}\nB: {runs[1]}\ntiny: 20 images, 6 classes; intervals of 95 %" in printed
    last = printed.rstrip().splitlines()[-1]
    assert last.startswith("B is better by 0.")
    assert "; chance that it is no better: " in last
    assert "| SOLVER.BASE_LR" in printed
    assert "0.123" in printed
    assert "OUTPUT_DIR" not in printed
    rows = [line.split("|")[1:-1] for line in printed.splitlines() if line.startswith("| bbox/AP")]
    assert [[cell.strip() for cell in row] for row in rows] == [["bbox/AP", "0.25", "0.25"]]


def test_the_numbers_are_those_of_the_evaluator_and_json_has_all(runs, tmp_path, capsys) -> None:
    file = tmp_path / "new/comparison.json"
    assert compare(*runs, "--json", str(file)) == 0
    data = json.loads(file.read_text(encoding="utf-8"))
    for side, run in zip("ab", runs, strict=True):
        expected = by_pycocotools(run)
        assert data["numbers"]["AP"][side]["value"] == pytest.approx(expected[0], abs=1e-9)
        assert data["numbers"]["AP50"][side]["value"] == pytest.approx(expected[1], abs=1e-9)
    change = data["numbers"]["AP"]["difference"]
    assert 0 < change["low"] < change["value"] < change["high"]
    names = build_dataset(load_config("tiny.yaml"), "tiny").info.class_names
    assert data["numbers"].keys() == {"AP", "AP50"} | {f"{number}-{name}" for number in ("AP", "AP50") for name in names}
    assert (data["dataset"], data["num_images"], data["replicates"], data["seed"]) == ("tiny", 20, 60, 0)
    assert data["config"]["SOLVER.BASE_LR"][1] == 0.123
    assert data["metrics"] == {"iteration": [120, 120], "bbox/AP": [0.25, 0.25], "validation/loss": [0.5, 0.5]}
    assert data["in_words"] in capsys.readouterr().out


def by_pycocotools(run: Path) -> tuple[float, float]:
    """AP and AP50 of a folder, computed by pycocotools from the same predictions."""
    import contextlib
    import io

    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    dataset = build_dataset(load_config(run / "config.yaml"), "tiny")
    numbers = {record.image_id: number for number, record in enumerate(dataset.records, start=1)}
    truth, annotations = COCO(), []
    for record in dataset.records:
        corners = np.hstack([record.boxes[:, :2], record.boxes[:, 2:] - record.boxes[:, :2]]).tolist()
        for label, box in zip(record.labels, corners, strict=True):
            row = {"image_id": numbers[record.image_id], "category_id": dataset.info.category_ids[label]}
            annotations.append(row | {"bbox": box, "area": box[2] * box[3]})
    truth.dataset = {
        "images": [{"id": number} for number in numbers.values()],
        "categories": [{"id": number} for number in dataset.info.category_ids],
        "annotations": [{"id": index, "iscrowd": 0, **each} for index, each in enumerate(annotations, start=1)],
        "info": {},
    }
    rows = json.loads((run / "inference/tiny/predictions.json").read_text(encoding="utf-8"))
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found = truth.loadRes([row | {"image_id": numbers[row["image_id"]]} for row in rows])
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def test_a_run_with_itself_is_no_difference(runs, capsys) -> None:
    assert compare(runs[0], runs[0]) == 0
    printed = capsys.readouterr().out
    assert "Their configs are the same." in printed
    assert printed.rstrip().endswith("there is no difference.")


def error_of(capsys, first: Path, second: Path, *more: str) -> str:
    assert compare(first, second, *more) == 2
    return capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named_with_the_nearest(runs, capsys) -> None:
    wrong = runs[0].with_name("aa")
    assert f"there is no run folder {wrong}. Did you mean '{runs[0]}'?" in error_of(capsys, runs[0], wrong)


def test_a_folder_without_a_config_needs_one(runs, tmp_path, capsys) -> None:
    bare = write_run(tmp_path / "bare", 1.0)
    (bare / "config.yaml").rename(tmp_path / "kept.yaml")
    assert f"{bare} has no config.yaml" in error_of(capsys, runs[0], bare)
    assert compare(runs[0], bare, "--config-file", str(tmp_path / "kept.yaml")) == 0


def test_predictions_that_are_missing_or_broken_are_named_and_nothing_is_made(runs, tmp_path, capsys) -> None:
    run = write_run(tmp_path / "run", 1.0)
    file = run / "inference/tiny/predictions.json"
    file.write_text("{", encoding="utf-8")
    assert f"{file}: expected detections in COCO's results format" in error_of(capsys, runs[0], run)
    file.unlink()
    file.parent.rmdir()
    assert f"there is no {file}: an evaluation writes it" in error_of(capsys, runs[0], run)
    assert not file.parent.exists()


def test_no_detections_at_all_are_an_ap_of_nought(runs, tmp_path, capsys) -> None:
    run = write_run(tmp_path / "run", 1.0)
    (run / "inference/tiny/predictions.json").write_text("[]", encoding="utf-8")
    assert compare(runs[1], run) == 0
    assert "0.000 (0.000 to 0.000)" in capsys.readouterr().out


def test_other_images_are_named(runs, tmp_path, capsys) -> None:
    fewer = write_run(tmp_path / "fewer", 1.0, ["DATASETS.CATALOG.tiny.NUM_IMAGES", "18"])
    message = error_of(capsys, runs[0], fewer)
    assert f"were evaluated on different images: 2 of those of {runs[0]} are not in the tiny of {fewer}: 1" in message
    more = write_run(tmp_path / "more", 1.0, ["DATASETS.CATALOG.tiny.NUM_IMAGES", "21"])
    (more / "config.yaml").write_text((runs[0] / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    file = more / "inference/tiny/predictions.json"
    assert f"{file} has detections of 1 images that tiny does not have (20)" in error_of(capsys, runs[0], more)


def test_the_same_images_with_other_boxes_are_told(runs, tmp_path, capsys) -> None:
    other = write_run(tmp_path / "other", 1.0, ["DATASETS.CATALOG.tiny.IMAGE_SIZE", "128"])
    assert "have the same images with different boxes, 20 of them: " in error_of(capsys, runs[0], other)


def test_the_data_set_is_chosen_among_several(runs, tmp_path, capsys) -> None:
    twice = ["DATASETS.CATALOG.again", "{NAME: ShapesDataset, SPLIT: train, NUM_IMAGES: 2, IMAGE_SIZE: 64}"]
    pair = [write_run(tmp_path / name, 1.0, [*twice, "DATASETS.TEST", "[tiny, again]"]) for name in "ab"]
    assert f"{pair[0]}: DATASETS.TEST has tiny, again: choose one by --dataset NAME." in error_of(capsys, *pair)
    assert compare(*pair, "--dataset", "tiny") == 0
    message = error_of(capsys, *pair, "--dataset", "tini")
    assert "was not evaluated on it. Did you mean 'tiny'? Its DATASETS.TEST has: tiny, again." in message


def test_data_that_is_not_found_says_what_to_do_and_overrides_hold_for_both(tmp_path, capsys) -> None:
    catalog = ["DATASETS.CATALOG.tiny", "{NAME: COCODataset, ANNOTATIONS: truth.json, IMAGES: .}", "DATASETS.ROOT", "gone"]
    for name in "ab":
        folder = tmp_path / name
        (folder / "inference/tiny").mkdir(parents=True)
        (folder / "config.yaml").write_text(dump_config(load_config("tiny.yaml", catalog)), encoding="utf-8")
        (folder / "inference/tiny/predictions.json").write_text("[]", encoding="utf-8")
    message = error_of(capsys, tmp_path / "a", tmp_path / "b")
    assert f"{tmp_path / 'a'}: the ground truth of tiny cannot be read: " in message
    assert "add DATASETS.ROOT FOLDER" in message
    truth = {
        "images": [
            {"id": 4, "file_name": "4.jpg", "width": 50, "height": 50},
            {"id": 5, "file_name": "5.jpg", "width": 50, "height": 50},
        ],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 4, "category_id": 1, "bbox": [5, 5, 20, 20], "area": 400, "iscrowd": 0}],
    }
    for number in (4, 5):
        save_picture(np.zeros((50, 50, 3), np.uint8), tmp_path / f"{number}.jpg")
    (tmp_path / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    assert compare(tmp_path / "a", tmp_path / "b", "DATASETS.ROOT", str(tmp_path)) == 0


@pytest.mark.parametrize(("option", "value", "wanted"), [("--replicates", "0", "1 or more"), ("--seed", "-1", "0 or more")])
def test_numbers_out_of_range_are_refused(runs, capsys, option, value, wanted) -> None:
    assert f"{option}: expected {wanted}, got {value}" in error_of(capsys, *runs, option, value)


def test_numbers_are_shown_with_what_is_known_of_them() -> None:
    nan = float("nan")
    table = precision_table(
        {
            "AP": [Interval(0.5, 0.4, 0.6), Interval(0.25, nan, nan), Interval(-0.25, -0.3, 0.1)],
            "x": [Interval(nan, nan, nan)] * 3,
        }
    )
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert cells[2] == ["AP", "0.500 (0.400 to 0.600)", "0.250 (too few images)", "-0.250 (-0.300 to +0.100)"]
    assert cells[3] == ["x", "n/a", "n/a", "n/a"]


def test_keys_that_differ_are_found_at_any_depth() -> None:
    a = {"OUTPUT_DIR": "a", "MODEL": {"DEPTH": 50, "NECK": {}}, "HOOKS": [{"NAME": "A"}]}
    b = {"OUTPUT_DIR": "b", "MODEL": {"DEPTH": 101, "NECK": {"NAME": "FPN"}}, "HOOKS": [{"NAME": "B"}]}
    differences = config_differences(a, b)
    assert differences == {
        "HOOKS": [[{"NAME": "A"}], [{"NAME": "B"}]],
        "MODEL.DEPTH": [50, 101],
        "MODEL.NECK": [{}, "(not set)"],
        "MODEL.NECK.NAME": ["(not set)", "FPN"],
    }
    assert "x" * 37 + "..." in key_table({"KEY": ["x" * 50, 1]})


def test_numbers_of_several_data_sets_are_told_apart(tmp_path) -> None:
    row = {"iteration": 5, "one/bbox/AP": 0.1, "two/bbox/AP": 0.2, "two/bbox/AP-cat": 0.3, "lr": 0.1}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert last_numbers(tmp_path, tmp_path, "two") == {"iteration": [5, 5], "bbox/AP": [0.2, 0.2]}
    assert last_numbers(tmp_path, tmp_path / "none", "two") == {}


def test_of_many_classes_those_that_differ_most_are_shown() -> None:
    rows = {
        f"{number}-{label}": [Interval(0, 0, 0)] * 2 + [Interval(label / 100, 0, 0)]
        for label in range(30)
        for number in ("AP", "AP50")
    }
    shown, words = class_rows(rows)
    assert list(shown) == [f"AP-{label}" for label in range(10, 30)]
    assert class_rows({"AP-0": rows["AP-0"]}) == ({"AP-0": rows["AP-0"]}, "")
    assert words == "\n20 of 30 classes, those whose AP differs most; --json has all."
