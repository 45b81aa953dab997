from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dettoolkit.errors import CheckpointError, ConfigError
from dettoolkit.inference import Predictor
from dettoolkit.inference.exported_file import device_for, is_exported, load_onnx, load_torch_export

onnx = pytest.importorskip("onnx")


@pytest.fixture
def other_onnx(tmp_path: Path) -> Path:
    """A file of ONNX that holds no detector."""
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "graph", [value], [result])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "other.onnx")
    return tmp_path / "other.onnx"


@pytest.fixture
def other_pt2(tmp_path: Path) -> Path:
    program = torch.export.export(torch.nn.Identity(), (torch.zeros(1),))
    with (tmp_path / "other.pt2").open("wb") as file:
        torch.export.save(program, file)
    return tmp_path / "other.pt2"


def test_exported_files_are_known_by_their_content(tmp_path: Path, checkpoint: Path, other_onnx: Path, other_pt2: Path) -> None:
    assert is_exported(other_pt2)
    assert is_exported(other_onnx.rename(tmp_path / "named.pth"))
    assert not is_exported(checkpoint)
    assert not is_exported(tmp_path / "gone.onnx")
    for size in range(64, 600, 8):  # the header's length is the first byte
        save_file({"x" * size: torch.zeros(1)}, tmp_path / "x.safetensors")
        assert not is_exported(tmp_path / "x.safetensors")


def test_files_of_other_models_are_refused(other_onnx: Path, other_pt2: Path) -> None:
    with pytest.raises(CheckpointError, match=r"other\.onnx is a file of ONNX, but of no detector"):
        Predictor.from_checkpoint(other_onnx, "cpu")
    with pytest.raises(CheckpointError, match=r"other\.pt2 is a file of torch\.export, but of no detector"):
        Predictor.from_checkpoint(other_pt2, "cpu", trusted=True)


def test_damaged_files_are_told(tmp_path: Path, other_onnx: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes(other_onnx.read_bytes()[:40])
    with pytest.raises(CheckpointError, match=r"cut\.onnx cannot be loaded by ONNX Runtime: "):
        load_onnx(tmp_path / "cut.onnx", torch.device("cpu"))
    with zipfile.ZipFile(tmp_path / "cut.pt2", "w") as archive:
        archive.writestr("x/archive_format", "pt2")
        archive.writestr("x/extra/dettoolkit.json", "{}")
    with pytest.raises(CheckpointError, match=r"cut\.pt2 cannot be loaded by torch "):
        load_torch_export(tmp_path / "cut.pt2", torch.device("cpu"), trusted=True)


def test_onnx_runs_where_its_runtime_can(other_onnx: Path, other_pt2: Path) -> None:
    assert device_for(other_onnx, "auto") == ("auto" if torch.cuda.is_available() else "cpu")
    assert device_for(other_onnx, "cuda:1") == "cuda:1"
    assert device_for(other_pt2, "auto") == "auto"
    with pytest.raises(ConfigError, match="ONNX Runtime cannot run on mps: take --device cpu, or install onnxruntime-gpu"):
        load_onnx(other_onnx, torch.device("mps"))
