from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dettoolkit import export
from dettoolkit.checkpoint import write
from dettoolkit.cli.main import run_command
from dettoolkit.config import dump_config, load_config
from dettoolkit.export import Check
from dettoolkit.export.comparison import Differences
from dettoolkit.modeling import build_model
from dettoolkit.structures import DatasetInfo

PLUGIN = Path(__file__).parents[1] / "engine/small_backbone.py"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that finds things at random."""
    given = ["PLUGINS", f"[{PLUGIN.as_posix()}]", "MODEL.BACKBONE", "{NAME: SmallBackbone}", "MODEL.NUM_CLASSES", "2"]
    given += ["MODEL.NECK.LEVELS", "[4, 5]", "MODEL.NECK.OUT_CHANNELS", "16", "MODEL.DECODER.CLIP", "after_nms"]
    cfg = load_config("tiny.yaml", given)
    torch.manual_seed(0)
    model = build_model(cfg)
    with torch.no_grad():
        model.head.classification.weight.normal_(0, 1)
        model.head.classification.bias.zero_()
    path = tmp_path_factory.mktemp("run") / "model_final.pth"
    info = DatasetInfo("pets", ("cat", "dog"))
    write(path, {"model": model.state_dict(), "config": dump_config(cfg), "dataset": info.to_dict(), "iteration": 0})
    return path


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "photo.png"
    blocks = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    Image.fromarray(blocks.repeat(9, axis=0).repeat(9, axis=1)).save(path)
    return path


def run(checkpoint: Path, output: Path, *more: str, format: str = "torch_export") -> int:
    arguments = ["--checkpoint", str(checkpoint), "--format", format, "--output", str(output), "--plugins", str(PLUGIN)]
    return run_command("export-model", [*arguments, *more])


def test_a_file_is_written_with_a_table_and_predicted_with(
    checkpoint: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "deep/detector.pt2"
    assert run(checkpoint, output, "--nms", "outside", "--images", str(picture)) == 0
    told = capsys.readouterr().out.splitlines()
    assert "boxes differ, px" in told[0]
    assert "model ms" in told[0]
    assert [line.split()[0] for line in told[2:6]] == ["1", "2", "1", "2"]
    assert told[6].startswith(f"{output} written: ")
    for name, more in ((checkpoint, ["--plugins", str(PLUGIN)]), (output, ["--trust"])):
        folder = tmp_path / name.stem
        arguments = ["--checkpoint", str(name), "--input", str(picture), "--output", str(folder), "--device", "cpu"]
        assert run_command("predict", [*arguments, "--score-threshold", "0.4", *more]) == 0
    of_model, of_file = (json.loads((tmp_path / name / "predictions.json").read_text()) for name in ("model_final", "detector"))
    assert len(of_model[0]["detections"]) > 3
    assert len(of_file[0]["detections"]) == len(of_model[0]["detections"])
    for one, other in zip(of_model[0]["detections"], of_file[0]["detections"], strict=True):
        assert one["class"] == other["class"]
        assert one["box"] == pytest.approx(other["box"], abs=2e-3)
    one, other = (np.asarray(Image.open(tmp_path / name / "pictures/photo.jpg")) for name in ("model_final", "detector"))
    assert np.array_equal(one, other)


def test_a_file_that_differs_is_told_and_makes_the_exit_code_1(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    differences = Differences(0.5, 1e-6, 100, 0, "image 1: the box of detection 3 is 0.5 apart, accepted is 0.001")
    checks = [Check(1, (64, 96), Differences(), 0.1, 0.2), Check(2, (64, 96), differences, 0.1, 0.2)]
    monkeypatch.setattr(export, "export_detector", lambda *_: checks)
    assert run(checkpoint, tmp_path / "x.pt2") == 1
    told = capsys.readouterr()
    assert "x.pt2 is not written: batch of 2 at 64 x 96: image 1: the box of detection 3 is 0.5 apart" in told.err
    assert "written" not in told.out


@pytest.mark.parametrize(
    ("output", "format", "message"),
    [
        ("x.onnx", "torch_export", "x.onnx: a file of torch_export ends in .pt2"),
        ("x.pt2", "onnx", "x.pt2: a file of onnx ends in .onnx"),
        ("there.pt2", "torch_export", "there.pt2 is there; a file is overwritten with --force only"),
    ],
)
def test_what_cannot_be_used_is_told(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str, format: str, message: str
) -> None:
    (tmp_path / "there.pt2").write_text("there")
    assert run(checkpoint, tmp_path / output, format=format) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "there.pt2").read_text() == "there"


def test_a_missing_onnx_is_told_before_anything_is_traced(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert run(checkpoint, tmp_path / "x.onnx", format="onnx") == 2
    assert "--format onnx needs onnx: pip install 'dettoolkit[onnx]'" in capsys.readouterr().err
