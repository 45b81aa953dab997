"""What the command prints, and that it writes nothing where something is not right."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from dettoolkit.checkpoint import load_weights, read, write
from dettoolkit.checkpoint.convert import convert
from dettoolkit.checkpoint.weight_file import write_weights
from dettoolkit.cli.main import run_command
from dettoolkit.config import load_config
from dettoolkit.modeling import build_model

CONFIG = ["MODEL.NECK.NORM", "none", "MODEL.HEAD.NORM", "none", "MODEL.HEAD.NUM_CONVS", "4", "MODEL.NECK.LEVELS", "[3, 7]"]


class Trap:
    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.folder,)


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return build_model(load_config("tiny.yaml", ["MODEL.NUM_CLASSES", "3", *CONFIG])).state_dict()


@pytest.fixture
def zoo(tmp_path: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> dict:
    """What a file of Detectron2's zoo holds; it is also written, to zoo.pkl."""
    monkeypatch.chdir(tmp_path)
    model = {name: value.numpy() for name, value in convert(state, "it", "detectron2").state.items()}
    model |= {"pixel_mean": np.ones((3, 1, 1)), "anchor_generator.cell_anchors.0": np.ones((9, 4))}
    data = {"model": model, "__author__": "Detectron2 Model Zoo"}
    Path("zoo.pkl").write_bytes(pickle.dumps(data))
    return data


def run(*words: str) -> int:
    return run_command("convert-checkpoint", list(words))


def test_it_tells_what_became_of_every_tensor(zoo, state, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("zoo.pkl", "ours.pth", "--from", "detectron2", "--to", "dettoolkit") == 0
    told = capsys.readouterr()
    assert told.err == ""
    count = len(state)
    lines = told.out.splitlines()
    assert lines[0] == "zoo.pkl: Detectron2 detector -> dettoolkit"
    assert lines[1].split(maxsplit=1) == ["mapped", f"{count} of {count + 2} tensors"]
    assert lines[2].startswith(f"  renamed      {count}: backbone.bottom_up.stem.conv1.weight -> backbone.conv1.weight, ")
    assert lines[2].endswith(f" and {count - 2} more")
    assert lines[3:6] == [
        "  left over    0 that no rule knows",
        "  left over    1 on purpose (belongs into MODEL.INPUT.PIXEL_MEAN): pixel_mean",
        "  left over    1 on purpose (computed from MODEL.ANCHORS): anchor_generator.cell_anchors.0",
    ]
    assert lines[6] == "  missing      0"
    assert lines[7].startswith("  settings     from detectron2: configs/compat/detectron2_retinanet_r50_fpn_1x.yaml")
    assert lines[8:] == [f"ours.pth written: {count} tensors"]
    model = build_model(load_config("tiny.yaml", ["MODEL.NUM_CLASSES", "3", *CONFIG]))
    load_weights(model, "ours.pth")
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_verbose_lists_every_tensor(zoo, state, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("zoo.pkl", "ours.safetensors", "--verbose") == 0
    out = capsys.readouterr().out
    assert out.count(" -> ") == len(state) + 1
    assert "\n                 head.bbox_pred.bias -> head.box.bias\n" in out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: model.pop("head.cls_score.bias"), "head.classification.bias missing"),
        (lambda model: model.update({"roi_heads.x.weight": np.ones(1)}), "no rule knows roi_heads.x.weight"),
    ],
)
def test_what_would_be_partial_is_refused_unless_it_may_be(zoo, capsys: pytest.CaptureFixture[str], change, words: str) -> None:
    change(zoo["model"])
    Path("zoo.pkl").write_bytes(pickle.dumps(zoo))
    assert run("zoo.pkl", "ours.pth") == 1
    assert capsys.readouterr().err == f"error: ours.pth is not written: {words} (--allow-partial writes the rest).\n"
    assert [file.name for file in Path.cwd().iterdir()] == ["zoo.pkl"]
    assert run("zoo.pkl", "ours.pth", "--allow-partial") == 0
    assert Path("ours.pth").is_file()


def test_what_the_target_cannot_express_is_refused_whatever_is_allowed(state, tmp_path: Path, capsys) -> None:
    write(tmp_path / "a.pth", {"model": {**state, "backbone.body.stem.weight": torch.ones(1)}})
    assert run(str(tmp_path / "a.pth"), str(tmp_path / "b.pth"), "--to", "torchvision", "--allow-partial") == 1
    assert "torchvision cannot express backbone.body.stem.weight." in capsys.readouterr().err
    assert not (tmp_path / "b.pth").exists()


def test_a_config_says_what_has_to_be_there(zoo, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("zoo.pkl", "ours.pth", "--config-file", "tiny.yaml", *CONFIG) == 0  # with the classes of the file
    longer = [*CONFIG[:5], "5", *CONFIG[6:]]
    assert run("zoo.pkl", "longer.pth", "--config-file", "tiny.yaml", *longer) == 1
    assert "head.classification_tower.convs.4.weight" in capsys.readouterr().err
    narrow = [*CONFIG, "MODEL.NECK.OUT_CHANNELS", "16"]
    assert run("zoo.pkl", "narrow.pth", "--config-file", "tiny.yaml", *narrow, "--allow-partial") == 1
    assert "the model of the config has other shapes: neck.lateral.P3.0.weight" in capsys.readouterr().err


def test_other_anchors_are_told(state, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    six = dict(state)
    for layer, size in (("classification", 3), ("box", 4)):
        for parameter in ("weight", "bias"):
            six[f"head.{layer}.{parameter}"] = six[f"head.{layer}.{parameter}"][: 6 * size]
    write(tmp_path / "six.pth", {"model": six})
    words = [str(tmp_path / "six.pth"), str(tmp_path / "b.pth"), "--to", "torchvision"]
    assert run(*words) == 2
    assert "the box layer has 6 anchors at a location" in capsys.readouterr().err
    assert run(*words, "--anchors", "2", "3") == 0
    bias = read(tmp_path / "b.pth")["head.regression_head.bbox_reg.bias"]
    assert torch.equal(bias[4:8], six["head.box.bias"][12:16])  # the first ratio's second size: ours is after three ratios


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["zoo.pkl", "a.pth", "--from", "torchvision"], "zoo.pkl is no file of torchvision: by its names it is of detectron2"),
        (["zoo.pkl", "a.onnx"], r"a.onnx: the suffix says what is written, and .onnx is unknown. Accepted: .pth (torch.save)"),
        (["zoo.pkl", "zoo.pkl"], "zoo.pkl is there; a file is overwritten with --force only."),
        (["zo.pkl", "a.pth"], "zo.pkl: there is no such file. Did you mean 'zoo.pkl'?"),
        (["zoo.pkl", "a.pth", "MODEL.NUM_CLASSES", "3"], "values are of a config; name it with --config-file"),
    ],
)
def test_what_cannot_be_used_is_an_error(zoo, capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    assert run(*words) == 2
    assert message in capsys.readouterr().err


def test_force_overwrites(zoo) -> None:
    Path("a.pth").write_text("old", encoding="utf-8")
    assert run("zoo.pkl", "a.pth", "--force") == 0
    assert "model" in read("a.pth")


def test_a_pickle_that_asks_for_more_is_refused_and_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": {"conv1_w": Trap(tmp_path / "trap")}}))
    assert run(str(tmp_path / "a.pkl"), str(tmp_path / "b.pth")) == 2
    assert "mkdir" in capsys.readouterr().err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.pkl"]


def test_what_is_not_weights_stays_behind(state, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.pth", {"model": state, "config": "x", "trainer": {"iteration": 3}})
    assert run(str(tmp_path / "a.pth"), str(tmp_path / "b.safetensors")) == 0
    assert "  not weights  config, trainer: stays behind" in capsys.readouterr().out


def test_the_source_stays_as_it_is(state, tmp_path: Path) -> None:
    write_weights(tmp_path / "a.pkl", convert(state, "it", "torchvision").state, "torchvision")
    before = (tmp_path / "a.pkl").read_bytes()
    assert run(str(tmp_path / "a.pkl"), str(tmp_path / "b.pkl"), "--to", "detectron2") == 0
    assert (tmp_path / "a.pkl").read_bytes() == before


@pytest.mark.parametrize("claim", [[], ["--from", "mmdetection"]])
def test_names_of_no_known_toolkit_are_refused(
    claim: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": {"model.0.conv.weight": torch.ones(2, 2), "model.0.bn.weight": torch.ones(2)}, "epoch": 3}, "other.pt")
    assert run("other.pt", "out.pth", *claim) == 2
    told = capsys.readouterr().err
    assert "2 of 2 tensors have names of no known toolkit: model.0.conv.weight, model.0.bn.weight" in told
    assert not Path("out.pth").exists()
