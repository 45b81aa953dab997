from __future__ import annotations

import copy
import dataclasses
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dettoolkit.errors import CheckpointError, ConfigError, MissingDependencyError
from dettoolkit.export import export_detector, exporting
from dettoolkit.export.decoding import FixedShapeDecoder
from dettoolkit.export.exportable import ExportableDetector
from dettoolkit.export.tracing import trace
from dettoolkit.inference import Predictor
from dettoolkit.inference.exported_detector import ExportedDetector
from dettoolkit.inference.stored_detector import StoredDetector

Export = Callable[[str, str], Any]
FILES = [("onnx", "inside"), ("onnx", "outside"), ("torch_export", "inside")]


def picture(seed: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(256, (3, -(-height // 8), -(-width // 8)), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)[:, :height, :width]


@pytest.mark.parametrize(("format", "nms"), FILES)
def test_files_find_what_the_model_finds(exported: Export, format: str, nms: str) -> None:
    path, checks = exported(format, nms)
    assert path.is_file()
    assert [child.name for child in path.parent.iterdir() if child.name.startswith(".")] == []  # no temporary file
    assert [check.batch_size for check in checks] == [1, 2, 1, 2]
    assert len({check.size for check in checks}) >= 2
    for check in checks:
        assert check.differences.problem is None
        assert check.differences.num_detections > 20
        assert check.differences.box <= 1e-3
        assert check.differences.score <= 1e-5


@pytest.mark.parametrize(("format", "nms"), FILES)
def test_a_predictor_runs_them_like_the_checkpoint(
    exported: Export, checkpoint: Path, stored: StoredDetector, format: str, nms: str
) -> None:
    sizes = [(60, 90), (90, 60), (33, 47), (64, 64), (40, 100)]
    pictures = [picture(seed, *size) for seed, size in enumerate(sizes)]
    expected = Predictor(copy.deepcopy(stored.model), stored.cfg, stored.info, "cpu")(pictures, batch_size=2)
    predictor = Predictor.from_checkpoint(exported(format, nms)[0], "cpu", trusted=True)
    assert predictor.info.class_names == ("disc", "ring", "square")
    assert predictor.info.category_ids == (7, 8, 9)
    assert sum(map(len, expected)) > 20
    for one, other in zip(expected, predictor(pictures, batch_size=2), strict=True):
        torch.testing.assert_close(other.boxes, one.boxes, rtol=0, atol=2e-3)  # scaled by up to two to the picture's pixels
        torch.testing.assert_close(other.scores, one.scores, rtol=0, atol=1e-5)
        assert torch.equal(other.labels, one.labels)


def test_maps_of_one_pixel_are_taken(exported: Export, stored: StoredDetector) -> None:
    images, sizes = picture(0, 32, 32)[None], [(30, 32)]
    with torch.no_grad():
        (expected,) = stored.model(images, sizes)
    for format in ("onnx", "torch_export"):
        (found,) = ExportedDetector.read(exported(format, "inside")[0], "cpu", trusted=True)(images, sizes)
        torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=1e-3)


def test_a_file_of_torch_export_is_not_read_unless_trusted(exported: Export) -> None:
    with pytest.raises(CheckpointError, match=r"inside\.pt2 is a file of torch\.export; reading one can run code.*--trust"):
        Predictor.from_checkpoint(exported("torch_export", "inside")[0], "cpu")


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"compile": True}])
def test_precision_and_compilation_are_those_of_the_file(exported: Export, options: Any) -> None:
    with pytest.raises(ConfigError, match=r"inside\.onnx is an exported file: it computes in fp32, and is not compiled again"):
        Predictor.from_checkpoint(exported("onnx", "inside")[0], "cpu", **options)


def test_a_file_that_finds_something_else_is_not_kept(
    exported: Export, stored: StoredDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_another(program: Any, metadata: str, path: Path) -> None:
        program.state_dict["model.head.box.bias"].data += 0.01
        exporting.write_torch_export(program, metadata, path)

    program = torch.export.load(exported("torch_export", "inside")[0])
    monkeypatch.setattr(exporting, "trace", lambda *_: program)
    ending, _, keep_best = exporting.FORMATS["torch_export"]
    monkeypatch.setitem(exporting.FORMATS, "torch_export", (ending, write_another, keep_best))
    (tmp_path / "old.pt2").write_text("old")
    checks = export_detector(stored, tmp_path / "old.pt2", "torch_export")
    problem = checks[0].differences.problem
    assert problem is not None
    assert re.search(
        r"image 0: the box of detection \d+ \(label \d, score 0\.\d+, box \[.*\) is 0\.\d+ apart, accepted is", problem
    )
    assert [file.name for file in tmp_path.iterdir()] == ["old.pt2"]
    assert (tmp_path / "old.pt2").read_text() == "old"


class Moody(nn.Module):
    """Does what it likes."""

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        if images.mean() > 0:
            return {"C5": images}
        return {"C5": images * 2}


def test_a_part_that_cannot_be_exported_is_named(stored: StoredDetector, tmp_path: Path) -> None:
    model: Any = copy.deepcopy(stored.model)
    model.backbone = Moody()
    changed = dataclasses.replace(stored, model=model)
    with pytest.raises(ConfigError, match=r"backbone \(Moody\) cannot be exported: .*data-dependent"):
        export_detector(changed, tmp_path / "x.pt2", "torch_export", "outside")
    assert not list(tmp_path.iterdir())


class PlainNumbers(nn.Module):
    """A head that makes numbers of sizes, as those may that nobody exports."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, maps: list[torch.Tensor]) -> Any:
        predictions = self.head(maps)
        predictions.map_sizes = [(int(x.shape[-2]), int(x.shape[-1])) for x in maps if len(x) > 0]
        return predictions


def test_parts_that_take_sizes_for_numbers_are_exported(stored: StoredDetector) -> None:
    model: Any = copy.deepcopy(stored.model)
    model.head = PlainNumbers(model.head)
    detector = ExportableDetector(model, FixedShapeDecoder(model.decoder, None)).eval()
    graph: Any = trace(detector, model.size_divisibility).module()
    images, sizes = torch.stack([picture(seed, 64, 224) for seed in range(3)]), torch.tensor([[60, 220]] * 3)
    with torch.no_grad():
        for one, other in zip(graph(images, sizes), detector(images, sizes), strict=True):
            torch.testing.assert_close(one, other)


def test_a_detector_of_other_parts_is_refused(stored: StoredDetector, tmp_path: Path) -> None:
    other = dataclasses.replace(stored, model=nn.Linear(2, 2))
    with pytest.raises(ConfigError, match="Linear cannot be exported: it has no backbone, as RetinaNet has"):
        export_detector(other, tmp_path / "x.pt2", "torch_export")
    model: Any = copy.copy(stored.model)
    model.decoder = None
    with pytest.raises(ConfigError, match="RetinaNet cannot be exported: its decoder is NoneType, not DenseDecoder"):
        export_detector(dataclasses.replace(stored, model=model), tmp_path / "x.pt2", "torch_export")


def test_missing_libraries_are_named_with_the_extra(
    exported: Export, stored: StoredDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = exported("onnx", "inside")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"--format onnx needs onnxruntime: pip install 'dettoolkit\[onnx\]'"):
        export_detector(stored, tmp_path / "x.onnx", "onnx")
    with pytest.raises(
        MissingDependencyError, match=r"inside\.onnx: ONNX Runtime is needed to run it: pip install 'dettoolkit"
    ):
        Predictor.from_checkpoint(path, "cpu")


def test_the_document_s_program_runs(
    exported: Export,
    stored: StoredDetector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (Path(__file__).parents[2] / "docs/how-to/export.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(# run_onnx\.py\n.*?)```", text, re.DOTALL)
    assert program is not None
    pixels = picture(0, 60, 90)
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(tmp_path / "photos/a.jpg")
    shutil.copy(exported("onnx", "inside")[0], tmp_path / "detector.onnx")
    monkeypatch.chdir(tmp_path)
    exec(compile(program[1], "run_onnx.py", "exec"), {})
    read = torch.from_numpy(np.array(Image.open("photos/a.jpg"))).permute(2, 0, 1)
    batch = torch.nn.functional.pad(read, (0, 6, 0, 4))[None]  # 60 x 90 -> 64 x 96
    with torch.no_grad():
        (found,) = stored.model(batch, [(60, 90)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(found) > 3
    assert lines[0].startswith(f"{stored.info.class_names[int(found.labels[0])]} {round(float(found.scores[0]), 3)} [")
