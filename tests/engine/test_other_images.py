"""Whole runs on images of other than three channels, and of 16 bits: training, evaluation, report, prediction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dettoolkit.engine import train
from dettoolkit.errors import ConfigError, DataError
from dettoolkit.export.exporting import write_unverified
from dettoolkit.inference import Predictor
from dettoolkit.inference.stored_detector import StoredDetector

BACKBONE = ("MODEL.BACKBONE", "{NAME: ResNet, DEPTH: 18, NORM: BN}", "SOLVER.LENGTH", "2it", "SOLVER.BATCH_SIZE", "2")
SCORES_ABOVE_THRESHOLD = ("MODEL.HEAD.PRIOR_PROBABILITY", "0.5", "MODEL.DECODER.SCORE_THRESHOLD", "0.0", "PLUGINS", "[]")


def on_files(folder: Path, channels: int, suffix: str) -> list[str]:
    """Write six pictures of 48 x 64 with a bright object each; return the overrides that train on them."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(6):
        picture = random.integers(0, 1000, (48, 64, channels), dtype=np.uint16)
        x, y = random.integers(0, 30, 2).tolist()
        picture[y : y + 16, x : x + 20] += 3000
        name = f"{number}.{suffix}"
        if suffix == "npy":
            np.save(folder / name, picture)
        else:
            Image.fromarray(picture[:, :, 0]).save(folder / name)
        rows.append(f"{name},{x},{y},{x + 20},{y + 16},blob")
    (folder / "boxes.csv").write_text("\n".join(rows))
    numbers = [40.0] * channels
    return [
        *("DATASETS.CATALOG", f"{{mine: {{NAME: CSVDataset, ANNOTATIONS: {folder / 'boxes.csv'}}}}}"),
        *("DATASETS.TRAIN", "[mine]", "DATASETS.TEST", "[mine]", "DATASETS.PIXEL_RANGE", "[0, 4095]"),
        *("MODEL.INPUT.PIXEL_MEAN", str(numbers), "MODEL.INPUT.PIXEL_STD", str(numbers), *BACKBONE),
    ]


@pytest.mark.parametrize(("channels", "suffix"), [(5, "npy"), (1, "png"), (3, "png")], ids=["five", "gray", "gray as RGB"])
def test_a_run_learns_evaluates_and_predicts(
    tmp_path: Path, small_config: Any, losses: Any, channels: int, suffix: str
) -> None:
    cfg = small_config(*on_files(tmp_path, channels, suffix), *SCORES_ABOVE_THRESHOLD)

    train(cfg)

    folder = tmp_path / "run"
    assert len(losses(folder)) == 2
    assert all(np.isfinite(losses(folder)))
    assert json.loads((folder / "inference/mine/predictions.json").read_text())
    assert "data:image/jpeg;base64" in (folder / "report/index.html").read_text()
    checkpoint = folder / "checkpoints/model_final.pth"
    weight = torch.load(checkpoint, weights_only=True)["model"]["backbone.conv1.weight"]
    assert weight.shape == (64, channels, 7, 7)

    predictor = Predictor.from_checkpoint(checkpoint, device="cpu")
    path = tmp_path / f"0.{suffix}"
    array = np.load(path) if suffix == "npy" else np.array(Image.open(path))
    in_planes = torch.from_numpy(np.ascontiguousarray(np.atleast_3d(array).transpose(2, 0, 1).astype(np.float32)))
    found = list(predictor.stream([path, array, in_planes]))
    assert len(found[0].detections)
    for prediction in found[1:]:  # an array of the file's values is the file
        assert prediction.detections.boxes.equal(found[0].detections.boxes)
        assert prediction.detections.scores.equal(found[0].detections.scores)
    assert (found[0].image.shape, found[0].image.dtype) == ((3, 48, 64), torch.uint8)
    assert predictor.warm_up([(48, 64)]) > 0
    with pytest.raises(DataError, match=rf"image 0: expected {channels} channel\(s\), .* has 4"):
        predictor([np.zeros((48, 64, 4), np.uint16)])
    with pytest.raises(DataError, match=r"image 0: expected an array \[H, W, C\] of numbers, got \[48\] of bool"):
        predictor([np.zeros(48, bool)])
    with pytest.raises(ConfigError, match=rf"only detectors of RGB .* takes {channels} channel\(s\), .* \[0(\.0)?, 4095"):
        write_unverified(StoredDetector.read(checkpoint), tmp_path / "a.onnx", "onnx")


def test_a_file_of_other_channels_than_declared_stops_the_training_by_name(tmp_path: Path, small_config: Any) -> None:
    cfg = small_config(*on_files(tmp_path, 5, "npy"))
    np.save(tmp_path / "3.npy", np.zeros((48, 64, 3), np.uint16))

    with pytest.raises(DataError, match=r"3\.npy: expected 5 channel\(s\), as many as MODEL\.INPUT\.PIXEL_MEAN .* has 3"):
        train(cfg)


def test_what_is_broken_becomes_a_black_picture_of_the_declared_form(tmp_path: Path, small_config: Any, losses: Any) -> None:
    overrides = on_files(tmp_path, 5, "npy")
    np.save(tmp_path / "3.npy", np.zeros((48, 64, 3), np.uint16))

    train(small_config(*overrides, "DATASETS.ON_BAD", "drop", "DATASETS.TEST", "[]"))

    assert len(losses(tmp_path / "run")) == 2


def test_weights_for_rgb_go_into_a_first_convolution_for_more(tmp_path: Path, small_config: Any) -> None:
    from torchvision.models import resnet18

    torch.manual_seed(0)
    torch.save(resnet18().state_dict(), tmp_path / "resnet18.pth")
    overrides = on_files(tmp_path, 5, "npy")
    overrides += ["MODEL.BACKBONE.WEIGHTS", str(tmp_path / "resnet18.pth"), "MODEL.BACKBONE.FREEZE_STAGES", "1"]

    train(small_config(*overrides, "DATASETS.TEST", "[]"))

    weight = torch.load(tmp_path / "run/checkpoints/model_final.pth", weights_only=True)["model"]["backbone.conv1.weight"]
    rgb = torch.load(tmp_path / "resnet18.pth", weights_only=True)["conv1.weight"]
    # each of five gets 3/5 of the mean over the three: a picture with the same value in all channels is answered as before
    torch.testing.assert_close(weight.sum(1), rgb.sum(1))
    torch.testing.assert_close(weight[:, 0], weight[:, 4])
    assert "first convolution adapted from 3 to 5 channels" in (tmp_path / "run/log.txt").read_text()
