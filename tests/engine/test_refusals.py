"""What cannot be trained is said before anything is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fvcore.common.config import CfgNode

from dettoolkit.engine import train
from dettoolkit.errors import CheckpointError, ConfigError, DataError, DettoolkitError, TrainingError

SmallConfig = Callable[..., CfgNode]
Losses = Callable[[Path], list[float]]
Rows = Callable[[Path], list[dict[str, Any]]]

ACCUMULATED = ("SOLVER.ACCUMULATE", 2)


def _folder(cfg: CfgNode) -> Path:
    return Path(cfg.OUTPUT_DIR)


def test_a_loss_that_is_no_number_leaves_no_final_checkpoint(small_config: SmallConfig) -> None:
    cfg = small_config("SOLVER.BASE_LR", "1e30", "SOLVER.SCHEDULE.NAME", "MultiStep", "SOLVER.WARMUP.LENGTH", 0)
    with pytest.raises(TrainingError, match=r"iteration \d: the loss is not finite \(loss .*at learning rate 1e\+30.*Images: "):
        train(cfg)
    assert list((_folder(cfg) / "checkpoints").iterdir()) == []
    assert "the loss is not finite" in (_folder(cfg) / "log.txt").read_text()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (("MODEL.NUM_CLASSES", 4), ConfigError, r"MODEL\.NUM_CLASSES is 4, but tiny has 6 classes \(disc, ring, .*auto takes"),
        (("DATASETS.TRAIN", "[]"), ConfigError, r"DATASETS\.TRAIN: expected the names of the data sets to train on"),
        (("DATASETS.TEST", "[othr]"), ConfigError, r"Did you mean 'other'\?"),
        (("SOLVER.BATCH_SIZE", 9, *ACCUMULATED), ConfigError, r"SOLVER\.BATCH_SIZE: 9 images cannot be divided evenly"),
        (("MODEL.DEVICE", "cuda:99"), DettoolkitError, r"MODEL\.DEVICE cuda:99: process 0 of this machine needs GPU 99"),
        (("MODEL.WEIGHTS", "absent.pth"), CheckpointError, r"MODEL\.WEIGHTS: absent\.pth: there is no such file"),
        (
            ("MODEL.BACKBONE", "{NAME: ResNet, DEPTH: 18, NORM: BN, FREEZE_STAGES: 0, WEIGHTS: absent.pth}"),
            CheckpointError,
            r"MODEL\.BACKBONE\.WEIGHTS: absent\.pth: there is no such file",
        ),
        (("HOOKS.3.NAME", "BestCheckpoint"), ConfigError, "HOOKS: .*one stands twice: BestCheckpoint"),
        (
            ("MODEL.BACKBONE", "{NAME: ResNet, DEPTH: 18, NORM: FrozenBN, FREEZE_STAGES: 2}"),
            TrainingError,
            r"frozen stages and random weights: they would stay random.*MODEL\.BACKBONE\.WEIGHTS.*FREEZE_STAGES to 0",
        ),
        (
            ("MODEL.BACKBONE", "{NAME: ResNet, DEPTH: 18, NORM: BN, IN_CHANNELS: 1}"),
            ConfigError,
            r"MODEL\.BACKBONE\.IN_CHANNELS is 1, MODEL\.INPUT\.PIXEL_MEAN has 3 entries",
        ),
        (("DATASETS.PIXEL_RANGE", "[9, 9]"), ConfigError, r"DATASETS\.PIXEL_RANGE: expected \[lowest, highest\], got \[9"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_reason(
    small_config: SmallConfig, options: tuple, error: type[Exception], message: str
) -> None:
    cfg = small_config(*options)
    with pytest.raises(error, match=message):
        train(cfg)
    assert not _folder(cfg).exists()


def test_the_reason_of_a_refusal_is_in_the_log_of_a_folder_that_was_there(
    small_config: SmallConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    cfg = small_config("MODEL.WEIGHTS", "absent.pth")
    _folder(cfg).mkdir()
    with pytest.raises(CheckpointError):
        train(cfg)
    assert [path.name for path in _folder(cfg).iterdir()] == ["log.txt"]
    assert "absent.pth: there is no such file" in (_folder(cfg) / "log.txt").read_text()
    assert "absent.pth" not in capfd.readouterr().err  # the command prints it


def test_weights_that_are_none_are_refused(small_config: SmallConfig, tmp_path: Path) -> None:
    (tmp_path / "notes.pth").write_text("hello")
    with pytest.raises(CheckpointError, match=r"notes\.pth is no weight file"):
        train(small_config("MODEL.WEIGHTS", tmp_path / "notes.pth"))


def test_a_test_set_of_other_classes_is_refused_by_name(
    small_config: SmallConfig, coco_node: Callable[[str, list[str]], str]
) -> None:
    cfg = small_config(
        *("DATASETS.CATALOG.cats", coco_node("cats", ["cat", "dog"]), "DATASETS.TRAIN", "[cats]"),
        *("DATASETS.CATALOG.cows", coco_node("cows", ["cat", "cow"]), "DATASETS.TEST", "[cows]"),
    )
    with pytest.raises(DataError, match=r"cats has the classes cat, dog; cows has cat, cow\. Only cows has 'cow'"):
        train(cfg)


def test_frozen_batch_norm_from_scratch_is_warned_of(small_config: SmallConfig, capfd: pytest.CaptureFixture[str]) -> None:
    train(
        small_config("MODEL.BACKBONE", "{NAME: ResNet, DEPTH: 18, NORM: FrozenBN}", "SOLVER.LENGTH", 1, "DATASETS.TEST", "[]")
    )
    assert "warning: FrozenBN with random weights normalises nothing" in capfd.readouterr().err


def test_synchronised_batch_norm_in_one_process_is_said_to_be_plain(
    small_config: SmallConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    train(small_config("MODEL.HEAD.NORM", "SyncBN", "SOLVER.LENGTH", 1, "DATASETS.TEST", "[]"))
    assert re.search("SyncBN.* plain BN", capfd.readouterr().err)
