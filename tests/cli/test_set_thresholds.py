"""set-thresholds: a run's folder with detections whose thresholds a person knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dettoolkit.checkpoint import read, write
from dettoolkit.cli.main import main
from dettoolkit.config import dump_config, load_config
from dettoolkit.data import build_dataset
from dettoolkit.structures import ScoreThresholds

OVERRIDES = ["DATASETS.CATALOG.tiny.NUM_IMAGES", "20"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that found every object with 0.8, and a disc with 0.4 where nothing is in each picture."""
    cfg = load_config("tiny.yaml", OVERRIDES)
    dataset = build_dataset(cfg, "tiny")
    folder = tmp_path / "run"
    (folder / "inference/tiny").mkdir(parents=True)
    (folder / "config.yaml").write_text(dump_config(cfg), encoding="utf-8")
    rows = []
    for record in dataset.records:
        found = [(box.tolist(), int(label), 0.8) for box, label in zip(record.boxes, record.labels, strict=True)]
        for (x1, y1, x2, y2), label, score in [*found, ([0.0, 0.0, 3.0, 3.0], 0, 0.4)]:
            category = dataset.info.category_ids[label]
            row = {"image_id": record.image_id, "category_id": category, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
            rows.append(row)
    (folder / "inference/tiny/predictions.json").write_text(json.dumps(rows), encoding="utf-8")
    lines = [{"iteration": 5, "loss": 1.0}, {"iteration": 6, "bbox/AP": 0.5}]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    data = {"model": {"weight": torch.ones(2)}, "config": dump_config(cfg), "dataset": dataset.info.to_dict()}
    write(folder / "checkpoints/model_final.pth", {**data, "iteration": 6, "training": {"step": 1}})
    write(folder / "checkpoints/model_best.pth", {**data, "iteration": 4})
    return folder


def set_thresholds(run: Path, *more: str, checkpoint: str = "model_final.pth", wish: str = "precision>=0.95") -> int:
    return main(["set-thresholds", "--checkpoint", str(run / "checkpoints" / checkpoint), "--wish", wish, *more])


def test_the_checkpoint_gets_thresholds_and_keeps_the_rest(run: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "detector.pth"
    assert set_thresholds(run, "--output", str(output)) == 0
    data = read(output)
    kept = ScoreThresholds.from_dict(data["score_thresholds"])
    assert (kept.wish, kept.dataset) == ("precision>=0.95", "tiny")
    assert kept.by_class["disc"] == pytest.approx(0.6)  # halfway between right and wrong
    assert {value for name, value in kept.by_class.items() if name != "disc"} == {0.0}  # nothing of them is wrong
    original = read(run / "checkpoints/model_final.pth")
    assert torch.equal(data["model"]["weight"], original["model"]["weight"])
    assert {key: data[key] for key in ("iteration", "config", "dataset", "training")} == {
        key: original[key] for key in ("iteration", "config", "dataset", "training")
    }
    printed = capsys.readouterr().out
    assert "disc        0.600        1.000     1.000  1.000" in printed
    assert f"{output} written: score thresholds for precision>=0.95 on tiny, 20 images" in printed


def test_detections_of_other_weights_are_refused(run: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "detector.pth"
    assert set_thresholds(run, "--output", str(output), checkpoint="model_best.pth") == 2
    error = capsys.readouterr().err
    assert "is of iteration 4, the detections" in error
    assert "at iteration 6: other weights have other scores" in error
    assert not output.exists()
    (run / "metrics.jsonl").unlink()  # as in the folder of an evaluation
    assert set_thresholds(run, "--output", str(output), checkpoint="model_best.pth") == 0


def test_other_classes_are_refused(run: Path, tmp_path: Path, capsys) -> None:
    path = run / "checkpoints/model_final.pth"
    write(path, {**read(path), "dataset": {"name": "pets", "class_names": ["cat"], "category_ids": [1]}})
    assert set_thresholds(run, "--output", str(tmp_path / "x.pth")) == 2
    assert "has the classes cat; the run in" in capsys.readouterr().err


def test_what_is_there_is_overwritten_with_force_only(run: Path, capsys) -> None:
    path = run / "checkpoints/model_final.pth"
    assert set_thresholds(run, "--output", str(path)) == 2
    assert "is there; a file is overwritten with --force only" in capsys.readouterr().err
    assert set_thresholds(run, "--output", str(path), "--force") == 0
    assert "score_thresholds" in read(path)


@pytest.mark.parametrize(
    ("wish", "words"), [("best", "--wish: expected best_f1, precision>=P"), ("recall>=0", "--wish: expected a recall above 0")]
)
def test_a_wish_that_is_none_is_told(run: Path, tmp_path: Path, capsys, wish: str, words: str) -> None:
    assert set_thresholds(run, "--output", str(tmp_path / "x.pth"), wish=wish) == 2
    assert words in capsys.readouterr().err


def test_a_checkpoint_outside_of_a_run_needs_the_run(run: Path, tmp_path: Path, capsys) -> None:
    moved = (run / "checkpoints/model_final.pth").rename(tmp_path / "moved.pth")
    arguments = ["set-thresholds", "--checkpoint", str(moved), "--wish", "best_f1", "--output", str(tmp_path / "x.pth")]
    assert main(arguments) == 2
    assert "--run: " in capsys.readouterr().err
    assert main([*arguments, "--run", str(run)]) == 0


def test_a_file_that_is_no_checkpoint_of_a_run_is_told(run: Path, tmp_path: Path, capsys) -> None:
    write(run / "checkpoints/bare.pth", {"model": {"weight": torch.ones(2)}})
    assert set_thresholds(run, "--output", str(tmp_path / "x.pth"), checkpoint="bare.pth") == 2
    assert "is no checkpoint of a run: its keys are model" in capsys.readouterr().err
