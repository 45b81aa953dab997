"""Score thresholds by class in a checkpoint or an exported file: obeyed by the predictor and the command, and overruled."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from PIL import Image

from dettoolkit.checkpoint import write
from dettoolkit.cli.main import run_command
from dettoolkit.errors import CheckpointError, ConfigError
from dettoolkit.inference import Predictor
from dettoolkit.inference.exported_metadata import ExportedMetadata
from dettoolkit.structures import DatasetInfo, ScoreThresholds

CLASSES = ("disc", "ring", "square")
STORED = ScoreThresholds({"square": 0.25, "disc": 0.35, "ring": None}, "precision>=0.9", "tiny_val")
BY_LABEL = (0.35, 0.3, 0.25)  # ring has none of its own


@pytest.fixture(scope="module")
def data(checkpoint_data: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint with scores of 0.2 to 0.8, on both sides of the thresholds."""
    model = dict(checkpoint_data["model"])
    model["head.classification.weight"] = model["head.classification.weight"] / 4
    model["head.classification.bias"] = torch.full_like(model["head.classification.bias"], -4.0)
    return {**checkpoint_data, "model": model}


@pytest.fixture(scope="module")
def checkpoint(data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("without") / "model_final.pth"
    write(path, data)
    return path


@pytest.fixture(scope="module")
def with_thresholds(data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("with") / "model_final.pth"
    write(path, {**data, "score_thresholds": STORED.to_dict()})
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    blocks = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    Image.fromarray(blocks.repeat(8, axis=0).repeat(8, axis=1)).save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


@pytest.mark.parametrize(
    ("more", "told"), [({}, False), ({"nms": {"NAME": "SoftNMS"}}, True), ({"views": {"FLIP": "both"}}, True)]
)
def test_thresholds_of_other_looks_are_told(
    with_thresholds: Path, caplog: pytest.LogCaptureFixture, more: dict[str, Any], told: bool
) -> None:
    Predictor.from_checkpoint(with_thresholds, "cpu", **more)
    assert ("were measured with the detector's own looks and NMS" in caplog.text) == told


def test_a_predictor_obeys_what_the_checkpoint_holds(checkpoint: Path, with_thresholds: Path, picture: Path) -> None:
    (everything,) = Predictor.from_checkpoint(checkpoint, "cpu")([picture])
    predictor = Predictor.from_checkpoint(with_thresholds, "cpu")
    assert predictor.score_thresholds == STORED
    (found,) = predictor([picture])
    rows = zip(everything.scores.tolist(), everything.labels.tolist(), strict=True)
    expected = [score for score, label in rows if score >= BY_LABEL[label]]
    assert 0 < len(expected) < len(everything)
    assert found.scores.tolist() == expected


def test_a_call_overrules_them(checkpoint: Path, with_thresholds: Path, picture: Path) -> None:
    (everything,) = Predictor.from_checkpoint(checkpoint, "cpu")([picture])
    predictor = Predictor.from_checkpoint(with_thresholds, "cpu")
    assert len(predictor([picture], score_threshold=0)[0]) == len(everything)
    expected = int((everything.scores >= 0.5).sum())
    assert len(predictor([picture], score_threshold=0.5)[0]) == expected
    assert len(next(iter(predictor.stream([picture], score_threshold=0.5))).detections) == expected
    predictor.score_thresholds = None
    assert len(predictor([picture])[0]) == len(everything)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_score_is_told(checkpoint: Path, picture: Path, value: float) -> None:
    with pytest.raises(ConfigError, match="score_threshold: expected 0 to 1, got"):
        Predictor.from_checkpoint(checkpoint, "cpu")([picture], score_threshold=value)


@pytest.mark.parametrize("stored", [{"by_class": {"disc": 2.0}, "wish": "", "dataset": ""}, {"by_class": 0.5}, [0.5]])
def test_what_is_no_threshold_in_a_checkpoint_is_told(changed_checkpoint: Callable[..., Path], stored: object) -> None:
    with pytest.raises(CheckpointError, match=r"changed\.pth: its score_thresholds cannot be used"):
        Predictor.from_checkpoint(changed_checkpoint(score_thresholds=stored), "cpu")


def predict(checkpoint: Path, picture: Path, output: Path, *more: str) -> list[dict]:
    arguments = ["--checkpoint", str(checkpoint), "--input", str(picture), "--output", str(output), "--device", "cpu"]
    assert run_command("predict", [*arguments, *more]) == 0
    return json.loads((output / "predictions.json").read_text(encoding="utf-8"))


def test_predict_obeys_them_and_says_so(
    with_thresholds: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (entry,) = predict(with_thresholds, picture, tmp_path / "out")
    assert entry["score_threshold"] == {"disc": 0.35, "ring": 0.3, "square": 0.25}
    (found,) = Predictor.from_checkpoint(with_thresholds, "cpu")([picture])
    assert len(entry["detections"]) == len(found) > 0
    assert "(precision>=0.9 on tiny_val): disc 0.350, ring 0.300, square 0.250" in capsys.readouterr().out


def test_predict_takes_another_threshold_for_all(with_thresholds: Path, picture: Path, tmp_path: Path) -> None:
    (entry,) = predict(with_thresholds, picture, tmp_path / "out", "--score-threshold", "0.35")
    (found,) = Predictor.from_checkpoint(with_thresholds, "cpu")([picture], score_threshold=0.35)
    assert entry["score_threshold"] == 0.35
    assert len(entry["detections"]) == len(found) > 0


def test_predict_without_stored_thresholds_takes_three_tenths(checkpoint: Path, picture: Path, tmp_path: Path) -> None:
    (entry,) = predict(checkpoint, picture, tmp_path / "out")
    assert entry["score_threshold"] == 0.3
    (everything,) = Predictor.from_checkpoint(checkpoint, "cpu")([picture])
    assert len(entry["detections"]) == int((everything.scores >= 0.3).sum())


def test_an_exported_file_carries_them(cfg: CfgNode) -> None:
    metadata = ExportedMetadata(DatasetInfo("tiny", CLASSES), cfg, "inside", 32, STORED)
    read = ExportedMetadata.from_json(metadata.to_json(), "x.onnx").score_thresholds
    assert read is not None
    assert torch.equal(read.of_labels(CLASSES), torch.tensor(BY_LABEL))
    assert (read.wish, read.dataset) == ("precision>=0.9", "tiny_val")
    without = ExportedMetadata(DatasetInfo("tiny", CLASSES), cfg, "inside", 32)
    assert ExportedMetadata.from_json(without.to_json(), "x.onnx").score_thresholds is None
    data = json.loads(metadata.to_json()) | {"score_thresholds": [0.5]}
    with pytest.raises(CheckpointError, match="expected one for each of 3 classes, got 1"):
        ExportedMetadata.from_json(json.dumps(data), "x.onnx")
