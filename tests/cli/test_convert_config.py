from __future__ import annotations

from pathlib import Path

import pytest

from dettoolkit.cli.main import main
from dettoolkit.config import load_config

# a small network, so that the model is built quickly
CONFIG = """
VERSION: 2
MODEL:
  META_ARCHITECTURE: RetinaNet
  BACKBONE: {NAME: build_retinanet_resnet_fpn_backbone}
  RESNETS: {DEPTH: 18, RES2_OUT_CHANNELS: 64, OUT_FEATURES: [res3, res4, res5]}
  FPN: {IN_FEATURES: [res3, res4, res5], OUT_CHANNELS: 64}
  RETINANET: {NUM_CLASSES: 3, NUM_CONVS: 1}
  ROI_HEADS: {NUM_CLASSES: 3}
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("theirs.yaml").write_text(CONFIG, encoding="utf-8")
    return "theirs.yaml"


def test_the_new_config_is_printed_and_the_report_is_not_part_of_it(theirs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert-config", theirs, "SOLVER.IMS_PER_BATCH", "4"]) == 0
    printed = capsys.readouterr()
    Path("ours.yaml").write_text(printed.out, encoding="utf-8")
    cfg = load_config("ours.yaml")
    assert (cfg.MODEL.NUM_CLASSES, cfg.MODEL.NECK.OUT_CHANNELS, cfg.SOLVER.BATCH_SIZE) == (3, 64, 4)
    assert printed.err == "without influence: MODEL.ROI_HEADS.* (theirs.yaml:9): belongs to two-stage detectors\n"


def test_a_file_is_written_once(theirs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert-config", theirs, "--output", "new/ours.yaml"]) == 0
    assert capsys.readouterr().out == ""
    first = Path("new/ours.yaml").read_text(encoding="utf-8")
    assert main(["convert-config", theirs, "SEED", "5", "--output", "new/ours.yaml"]) == 2
    assert "new/ours.yaml is there; a file is overwritten with --force only" in capsys.readouterr().err
    assert Path("new/ours.yaml").read_text(encoding="utf-8") == first
    assert main(["convert-config", theirs, "SEED", "5", "--output", "new/ours.yaml", "--force"]) == 0
    assert load_config("new/ours.yaml").SEED == 5
    assert [file.name for file in Path("new").iterdir()] == ["ours.yaml"]


def test_a_folder_is_not_overwritten_even_by_force(theirs: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("folder").mkdir()
    assert main(["convert-config", theirs, "--output", "folder", "--force"]) == 2
    assert "folder is there" in capsys.readouterr().err


def test_nothing_is_written_where_results_would_differ(theirs: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["convert-config", theirs, "SOLVER.BIAS_LR_FACTOR", "2.0", "--output", "ours.yaml"]
    assert main(arguments) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[1:] == [
        "results differ: SOLVER.BIAS_LR_FACTOR (override SOLVER.BIAS_LR_FACTOR): "
        "all parameters have the same learning rate here",
        "nothing written: pass --allow-partial to do without these keys",
    ]
    assert not Path("ours.yaml").exists()
    assert main([*arguments, "--allow-partial"]) == 0
    assert "# Not converted, so results differ:\n#   SOLVER.BIAS_LR_FACTOR" in Path("ours.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["MODEL.RESNETS.DEPTH", "51"], "converted.yaml: 1 mistake in the config"),
        (["MODEL.RETINANET.PRIOR_PROB", "2.0"], "prior_probability expects a number between 0 and 1, got 2.0"),
        (["SOLVER.STEPS", "(0, 3)"], "Expected milestones within it"),
        (["MODEL.META_ARCHITECTURE", "PanopticFPN"], "expected RetinaNet, which is what there is here, got PanopticFPN"),
        (["SEED"], "'SEED' has no value"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_is_written(
    theirs: str, overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert-config", theirs, *overrides, "--allow-partial", "--output", "ours.yaml"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("ours.yaml").exists()


def test_a_missing_file(theirs: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert-config", "theirs.yml"]) == 2
    assert "there is no file 'theirs.yml'. Did you mean 'theirs.yaml'?" in capsys.readouterr().err
