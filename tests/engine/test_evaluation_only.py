"""Evaluation of a run, or of weights, without training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fvcore.common.config import CfgNode

from dettoolkit.config import load_config
from dettoolkit.engine import evaluate, train
from dettoolkit.errors import CheckpointError, ConfigError, DataError

SmallConfig = Callable[..., CfgNode]
Losses = Callable[[Path], list[float]]
Rows = Callable[[Path], list[dict[str, Any]]]


def _folder(cfg: CfgNode) -> Path:
    return Path(cfg.OUTPUT_DIR)


@pytest.fixture
def trained(small_config: SmallConfig) -> tuple[CfgNode, dict[str, float]]:
    cfg = small_config()
    return cfg, train(cfg)


def test_evaluation_of_a_run_gives_the_numbers_of_its_training(trained: tuple[CfgNode, dict[str, float]]) -> None:
    cfg, numbers = trained
    assert evaluate(cfg) == numbers


def test_evaluation_needs_no_training_set(trained: tuple[CfgNode, dict[str, float]], small_config: SmallConfig) -> None:
    assert evaluate(small_config("DATASETS.TRAIN", "[]")) == trained[1]


def test_evaluation_of_given_weights_goes_into_a_folder_of_its_own(
    trained: tuple[CfgNode, dict[str, float]], small_config: SmallConfig, tmp_path: Path
) -> None:
    weights = _folder(trained[0]) / "checkpoints" / "model_best.pth"
    assert evaluate(small_config("MODEL.WEIGHTS", weights, "OUTPUT_DIR", tmp_path / "looked_{number}")) == trained[1]
    assert (tmp_path / "looked_1" / "inference" / "tiny" / "predictions.json").is_file()
    assert (tmp_path / "looked_1" / "report" / "index.html").is_file()
    assert load_config(tmp_path / "looked_1" / "config.yaml").DATASETS.TEST == ["tiny"]


def test_resume_evaluates_the_runs_own_checkpoint_though_it_began_with_weights(
    trained: tuple[CfgNode, dict[str, float]], small_config: SmallConfig, tmp_path: Path
) -> None:
    weights = _folder(trained[0]) / "checkpoints" / "model_final.pth"
    tuned = small_config("MODEL.WEIGHTS", weights, "OUTPUT_DIR", tmp_path / "tuned")
    numbers = train(tuned)
    assert numbers["validation/loss"] != trained[1]["validation/loss"]
    assert evaluate(tuned) == trained[1]
    assert evaluate(tuned, resume=True) == numbers


def test_evaluation_of_a_checkpoint_of_other_classes_is_refused_by_name(
    trained: tuple[CfgNode, dict[str, float]], small_config: SmallConfig, coco_node: Callable[[str, list[str]], str]
) -> None:
    names = ["disc", "ring", "square", "triangle", "cross", "moon"]  # as many as there were
    node = coco_node("moons", names)
    with pytest.raises(DataError, match=r"the checkpoint .*model_final\.pth has the classes disc, .*Only moons has 'moon'"):
        evaluate(small_config("DATASETS.CATALOG.moons", node, "DATASETS.TEST", "[moons]"))


def test_evaluation_on_nothing_is_refused(trained: tuple[CfgNode, dict[str, float]], small_config: SmallConfig) -> None:
    with pytest.raises(ConfigError, match=r"^--eval-only: DATASETS\.TEST is empty: there is nothing to evaluate on\.$"):
        evaluate(small_config("DATASETS.TEST", "[]"))


def test_another_evaluation_leaves_the_report_of_the_run_as_it_is(trained: tuple[CfgNode, dict[str, float]]) -> None:
    cfg, _ = trained
    report = _folder(cfg) / "report" / "index.html"
    before = report.read_bytes()
    evaluate(cfg)
    evaluate(cfg)
    assert report.read_bytes() == before
    for name in ("evaluation", "evaluation_2"):
        assert (_folder(cfg) / name / "report" / "index.html").is_file()
        assert (_folder(cfg) / name / "inference" / "tiny" / "predictions.json").is_file()
        assert (_folder(cfg) / name / "config.yaml").is_file()


def test_settings_that_change_what_is_found_are_told(
    trained: tuple[CfgNode, dict[str, float]], small_config: SmallConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    transforms = "[{NAME: ResizeShortestEdge, SIZES: [32], MAX_SIZE: 32}]"
    evaluate(small_config("DATASETS.TEST_TRANSFORMS", transforms, "MODEL.DECODER.SCORE_THRESHOLD", 0.2, "SOLVER.BATCH_SIZE", 3))
    said = capfd.readouterr().err
    assert f"other settings than in {_folder(trained[0]) / 'config.yaml'}: " in said
    assert "MODEL.DECODER.SCORE_THRESHOLD: 0.05 -> 0.2" in said
    assert "DATASETS.TEST_TRANSFORMS.0.SIZES.0: (not set) -> 32" in said
    assert "BATCH_SIZE" not in said  # it changes nothing that is found


def test_nothing_is_told_of_the_settings_of_the_run_itself(
    trained: tuple[CfgNode, dict[str, float]], capfd: pytest.CaptureFixture[str]
) -> None:
    evaluate(trained[0])
    assert "other settings" not in capfd.readouterr().err


def test_an_evaluation_that_cannot_begin_leaves_no_folder(
    trained: tuple[CfgNode, dict[str, float]], small_config: SmallConfig, tmp_path: Path
) -> None:
    cfg, _ = trained
    for overrides in [("MODEL.HEAD.NUM_CONVS", 2), ("MODEL.WEIGHTS", "absent.pth", "OUTPUT_DIR", tmp_path / "new")]:
        with pytest.raises(CheckpointError):
            evaluate(small_config(*overrides))
    assert not (_folder(cfg) / "evaluation").exists()
    assert not (tmp_path / "new").exists()


def test_keys_that_are_newer_than_the_run_are_no_other_settings(
    trained: tuple[CfgNode, dict[str, float]], small_config: SmallConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    file = _folder(trained[0]) / "config.yaml"
    text = file.read_text(encoding="utf-8")
    older = "\n".join(line for line in text.splitlines() if "PRIOR_PROBABILITY" not in line and "DROP_EMPTY" not in line)
    assert older != text
    file.write_text(older, encoding="utf-8")
    try:
        evaluate(small_config())
        assert "other settings" not in capfd.readouterr().err
        evaluate(small_config("MODEL.HEAD.PRIOR_PROBABILITY", 0.02))
        assert "MODEL.HEAD.PRIOR_PROBABILITY: 0.01 -> 0.02" in "".join(capfd.readouterr())
    finally:
        file.write_text(text, encoding="utf-8")
