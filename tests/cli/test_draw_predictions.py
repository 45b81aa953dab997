"""draw-predictions: a run's last evaluation as pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dettoolkit.cli.draw_predictions import read_predictions
from dettoolkit.cli.main import main
from dettoolkit.errors import EvaluationError
from dettoolkit.structures import DatasetInfo

INFO = DatasetInfo("cells", ("red", "white"), (7, 3))
ROW = {"image_id": 4, "category_id": 3, "bbox": [10.0, 20.0, 5.0, 6.0], "score": 0.75}


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run of the tiny config that found one thing in one picture."""
    for folder in ("checkpoints", "inference/tiny", "report"):
        (tmp_path / "run" / folder).mkdir(parents=True)
    (tmp_path / "run/checkpoints/model_final.pth").touch()
    (tmp_path / "run/report/index.html").touch()
    (tmp_path / "run/inference/tiny/predictions.json").write_text(json.dumps([ROW]), encoding="utf-8")
    return tmp_path / "run"


def draw(folder: Path, *more: str) -> int:
    return main(["draw-predictions", "--config-file", "tiny.yaml", *more, "OUTPUT_DIR", str(folder)])


def test_boxes_become_corners_and_category_ids_labels(tmp_path: Path) -> None:
    file = tmp_path / "predictions.json"
    file.write_text(json.dumps([ROW, ROW | {"category_id": 7, "score": 0.5}]), encoding="utf-8")
    (found,) = read_predictions(file, INFO).values()
    assert found.boxes.tolist() == [[10, 20, 15, 26]] * 2
    assert found.labels.tolist() == [1, 0]
    assert found.scores.tolist() == [0.75, 0.5]
    assert found.labels.dtype == torch.int64


@pytest.mark.parametrize("text", ["{", "{}[", '{"a": 1}', '[{"image_id": 1}]', json.dumps([ROW | {"category_id": 9}])])
def test_another_file_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "predictions.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(EvaluationError, match=r"predictions\.json: expected detections in COCO's results format"):
        read_predictions(file, INFO)


def test_pictures_are_drawn_and_everything_of_the_run_is_named(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert draw(run_folder, "--num-images", "3") == 0
    names = sorted(path.name for path in (run_folder / "pictures").iterdir())
    # three of ten, spread: number 0, 3 and 6
    spread = ["0001_shapes_train_000000.jpg", "0002_shapes_train_000003.jpg", "0003_shapes_train_000006.jpg"]
    assert names == [*spread, "contact_sheet.jpg"]
    printed = capsys.readouterr().out
    for path in ("pictures/contact_sheet.jpg", "report/index.html", "checkpoints/model_final.pth"):
        assert str(run_folder / path) in printed
    assert "metrics.jsonl" not in printed  # this run has none


def test_a_second_call_leaves_the_first_pictures(run_folder: Path) -> None:
    assert draw(run_folder, "--num-images", "1") == 0
    assert draw(run_folder, "--num-images", "1") == 0
    assert (run_folder / "pictures/contact_sheet.jpg").is_file()
    assert (run_folder / "pictures_2/contact_sheet.jpg").is_file()


def test_without_an_evaluation_nothing_is_written(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_folder / "inference/tiny/predictions.json").unlink()
    assert draw(run_folder) == 2
    assert "an evaluation writes it (tools/train_net.py --eval-only)" in capsys.readouterr().err
    assert not (run_folder / "pictures").exists()


def test_without_a_run_the_message_says_where_it_was_looked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert draw(tmp_path / "nothing") == 2
    assert f"OUTPUT_DIR {tmp_path / 'nothing'}: there is no run with a checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "wanted"), [("--num-images", "0", "1 or more"), ("--score-threshold", "2", "0 to 1")]
)
def test_numbers_out_of_range_are_refused(
    run_folder: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, wanted: str
) -> None:
    assert draw(run_folder, option, value) == 2
    assert f"{option}: expected {wanted}, got {value}" in capsys.readouterr().err
