"""Trainings in several parts: the same as in one, or refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.engine import evaluate, train
from dettoolkit.engine.hooks import Hook, PeriodicCheckpoint
from dettoolkit.engine.run import _build_trainer
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import CheckpointError, DataError

SmallConfig = Callable[..., CfgNode]
Losses = Callable[[Path], list[float]]
Rows = Callable[[Path], list[dict[str, Any]]]

PERIODIC = "HOOKS.5"
ACCUMULATED = ("SOLVER.ACCUMULATE", 2)


def _folder(cfg: CfgNode) -> Path:
    return Path(cfg.OUTPUT_DIR)


def _load(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other


class StopAt(Hook):
    """Breaks the training off, as a power cut would, right after a checkpoint."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def after_step(self, trainer: Trainer) -> None:
        if trainer.iteration == self.iteration:
            raise KeyboardInterrupt


def _break_off(cfg: CfgNode, iteration: int, monkeypatch: pytest.MonkeyPatch, resume: bool = False) -> None:
    """Run ``cfg`` until the hooks of step ``iteration`` are through."""

    def build(*arguments: Any) -> Trainer:
        trainer = _build_trainer(*arguments)
        trainer.hooks.append(StopAt(iteration))
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr("dettoolkit.engine.run._build_trainer", build)
        patch.setattr(PeriodicCheckpoint, "on_exception", Hook.on_exception)  # a power cut leaves no time to save
        with pytest.raises(KeyboardInterrupt):
            train(cfg, resume)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("SOLVER.OPTIMIZER", "{NAME: AdamW}", *ACCUMULATED, "MODEL.NORMALIZER", "moving_average", "MODEL.BACKBONE.NORM", "BN"),
    ],
    ids=["plain", "with all that has state"],
)
def test_a_training_broken_off_and_resumed_equals_one_in_a_piece(
    small_config: SmallConfig, tmp_path: Path, losses: Losses, rows: Rows, monkeypatch: pytest.MonkeyPatch, options: tuple
) -> None:
    common = ("SOLVER.LENGTH", 8, f"{PERIODIC}.PERIOD", 4, "EVALUATION.PERIOD", 2, *options)
    whole = small_config(*common, "OUTPUT_DIR", tmp_path / "whole")
    parts = small_config(*common, "OUTPUT_DIR", tmp_path / "parts")
    in_a_piece = train(whole)
    _break_off(parts, 5, monkeypatch)  # one step after the checkpoint: its line must go
    in_parts = train(parts, resume=True)
    assert len(losses(_folder(whole))) == 8
    assert losses(_folder(parts)) == losses(_folder(whole))
    assert in_parts == in_a_piece
    one, other = (_load(_folder(cfg) / "checkpoints" / "model_final.pth") for cfg in (whole, parts))
    assert _same(one["model"], other["model"])
    assert _same(one["training"], other["training"])
    untimed = [
        [{key: value for key, value in row.items() if "time" not in key} for row in rows(_folder(cfg))]
        for cfg in (whole, parts)
    ]
    assert untimed[0] == untimed[1]  # no line twice, none missing


def test_a_training_interrupted_within_a_step_goes_on_as_if_nothing_had_been(
    small_config: SmallConfig, tmp_path: Path, losses: Losses, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("SOLVER.LENGTH", 4, "DATASETS.TEST", "[]")
    whole = small_config(*common, "OUTPUT_DIR", tmp_path / "whole")
    parts = small_config(*common, "OUTPUT_DIR", tmp_path / "parts")
    train(whole)
    backward = Trainer._backward

    def interrupted(trainer: Trainer, *arguments: Any, **options: Any) -> Any:
        if trainer.iteration == 2:
            raise KeyboardInterrupt  # the batch of the third step is taken by now
        return backward(trainer, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_backward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(parts)
    log = (_folder(parts) / "log.txt").read_text()
    assert re.search(r"broken off after iteration 2; saved in .*model_00000002\.pth: --resume goes on from it", log)
    assert log.rstrip().endswith("interrupted")
    train(parts, resume=True)
    assert losses(_folder(parts)) == losses(_folder(whole))
    one, other = (_load(_folder(cfg) / "checkpoints" / "model_final.pth") for cfg in (whole, parts))
    assert _same(one["model"], other["model"])
    assert _same(one["training"], other["training"])


def test_a_failure_of_the_last_evaluation_does_not_lose_the_training(
    small_config: SmallConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = small_config("SOLVER.LENGTH", 2)

    def unreadable(*_: Any) -> None:
        raise DataError("cut.png: cannot be decoded")

    with monkeypatch.context() as patch:
        patch.setattr("dettoolkit.engine.hooks.evaluation.evaluate_all", unreadable)
        with pytest.raises(DataError):
            train(cfg)
    assert [path.name for path in (_folder(cfg) / "checkpoints").iterdir()] == ["model_00000002.pth"]
    assert (_folder(cfg) / "log.txt").read_text().rstrip().endswith("cut.png: cannot be decoded")
    assert "bbox/AP" in evaluate(cfg)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat", "cow"], r"--resume from .*model_final\.pth: the checkpoint has the classes cat, dog; .*Only pets has 'cow'"),
        (["dog", "cat"], "They are the same in another order"),
    ],
)
def test_resuming_on_as_many_other_classes_is_refused_by_name(
    small_config: SmallConfig, coco_node: Callable[[str, list[str]], str], names: list[str], message: str
) -> None:
    common = ("DATASETS.TRAIN", "[pets]", "DATASETS.TEST", "[]", "SOLVER.BATCH_SIZE", 1)
    train(small_config(*common, "SOLVER.LENGTH", 1, "DATASETS.CATALOG.pets", coco_node("before", ["cat", "dog"])))
    longer = small_config(*common, "SOLVER.LENGTH", 2, "DATASETS.CATALOG.pets", coco_node("now", names))
    with pytest.raises(CheckpointError, match=message):
        train(longer, resume=True)


def test_weights_of_as_many_other_classes_are_warned_of(
    small_config: SmallConfig, coco_node: Callable[[str, list[str]], str], tmp_path: Path
) -> None:
    common = ("DATASETS.TRAIN", "[pets]", "DATASETS.TEST", "[]", "SOLVER.BATCH_SIZE", 1, "SOLVER.LENGTH", 1)
    first = small_config(*common, "DATASETS.CATALOG.pets", coco_node("before", ["cat", "dog"]))
    train(first)
    weights = ("MODEL.WEIGHTS", _folder(first) / "checkpoints" / "model_final.pth", "OUTPUT_DIR", tmp_path / "next")
    train(small_config(*common, *weights, "DATASETS.CATALOG.pets", coco_node("now", ["cat", "cow"])))
    log = (tmp_path / "next" / "log.txt").read_text()
    assert "MODEL.WEIGHTS: the outputs of other classes are learned on from: dog -> cow" in log


def test_a_finished_training_made_longer_goes_on_and_its_own_checkpoint_is_the_newest(
    small_config: SmallConfig, losses: Losses, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    train(small_config("SOLVER.LENGTH", 2))
    longer = small_config("SOLVER.LENGTH", 8, f"{PERIODIC}.PERIOD", 2)
    _break_off(longer, 5, monkeypatch, resume=True)
    assert sorted(path.name for path in (_folder(longer) / "checkpoints").glob("model_0*")) == ["model_00000004.pth"]
    capfd.readouterr()
    train(longer, resume=True)
    assert "resuming at iteration 4 of 8" in capfd.readouterr().err
    assert len(losses(_folder(longer))) == 8


def test_resuming_what_is_done_says_so_and_changes_nothing_but_the_log(
    small_config: SmallConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    cfg = small_config("SOLVER.LENGTH", 2)
    train(cfg)
    files = {path for path in _folder(cfg).rglob("*") if path.is_file() and path.name not in ("log.txt", ".started_by")}
    before = {path: path.read_bytes() for path in files}
    capfd.readouterr()
    assert train(cfg, resume=True) == {}
    assert "all 2 iterations are done: nothing is left to train" in capfd.readouterr().err
    assert {path: path.read_bytes() for path in files} == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("SOLVER.BATCH_SIZE", 4), "the stream of training images cannot be continued: batch_size was 8 and is 4"),
        (("SOLVER.OPTIMIZER.NAME", "AdamW"), r"SOLVER\.OPTIMIZER: the state is that of SGD, which AdamW cannot go on from"),
        (("MODEL.HEAD.NUM_CONVS", 2), "does not fit the model"),
    ],
)
def test_resuming_with_another_config_is_refused_and_the_run_keeps_its_own(
    small_config: SmallConfig, options: tuple, message: str
) -> None:
    cfg = small_config("SOLVER.LENGTH", 2)
    train(cfg)
    before = (_folder(cfg) / "config.yaml").read_text()
    with pytest.raises(CheckpointError, match=message):
        train(small_config("SOLVER.LENGTH", 4, *options), resume=True)
    assert (_folder(cfg) / "config.yaml").read_text() == before


def test_resuming_from_weights_alone_is_refused(small_config: SmallConfig) -> None:
    cfg = small_config("SOLVER.LENGTH", 2)
    train(cfg)
    checkpoints = _folder(cfg) / "checkpoints"
    (checkpoints / "model_best.pth").replace(checkpoints / "model_final.pth")
    with pytest.raises(CheckpointError, match=r"holds weights without the state of a training.*as MODEL\.WEIGHTS"):
        train(cfg, resume=True)
