"""Trainings in which parts of the model learn slower, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.engine import train
from dettoolkit.errors import CheckpointError, ConfigError

SmallConfig = Callable[..., CfgNode]

SLOWER = ("SOLVER.LAYER_RATES", "[{PATTERN: backbone.*, FACTOR: 0.1}]")
NO_TEST = ("DATASETS.TEST", "[]", "MODEL.BACKBONE.NORM", "BN")


def _checkpoint(cfg: CfgNode) -> dict[str, Any]:
    return torch.load(Path(cfg.OUTPUT_DIR) / "checkpoints" / "model_final.pth", weights_only=True)


def test_what_is_frozen_stays_as_it_was_loaded(small_config: SmallConfig, tmp_path: Path) -> None:
    first = small_config(*NO_TEST, "SOLVER.LENGTH", 2, "OUTPUT_DIR", tmp_path / "first")
    train(first)
    weights = tmp_path / "first" / "checkpoints" / "model_final.pth"
    frozen = small_config(*NO_TEST, "SOLVER.LENGTH", 3, "MODEL.WEIGHTS", weights, "MODEL.FREEZE", "[backbone.stages.C2*]")
    train(frozen)
    before, after = _checkpoint(first)["model"], _checkpoint(frozen)["model"]
    same = {name for name in before if torch.equal(before[name], after[name])}
    stage = {name for name in before if name.startswith("backbone.stages.C2")}
    assert any("running_var" in name for name in stage)
    assert stage <= same
    assert "backbone.stages.C3.1.running_var" not in same
    assert "backbone.stages.C3.0.weight" not in same


def test_rates_follow_warm_up_and_schedule_by_their_factor(small_config: SmallConfig) -> None:
    cfg = small_config(*NO_TEST, *SLOWER, "SOLVER.LENGTH", 6, "SOLVER.WARMUP.LENGTH", 3)
    train(cfg)
    groups = _checkpoint(cfg)["training"]["optimizer"]["param_groups"]
    full = [group["lr"] for group in groups if " at " not in group["name"]]
    slower = [group["lr"] for group in groups if group["name"].endswith(" at 0.1")]
    assert len(set(full)) == 1
    assert slower == pytest.approx([0.1 * full[0]] * len(slower))
    assert len(slower) >= 2


def test_two_parts_of_a_training_equal_the_whole(small_config: SmallConfig, tmp_path: Path) -> None:
    schedule = ("SOLVER.SCHEDULE", "{NAME: MultiStep, MILESTONES: []}", "SOLVER.WARMUP.LENGTH", 0)
    whole = small_config(*NO_TEST, *SLOWER, *schedule, "SOLVER.LENGTH", 4, "OUTPUT_DIR", tmp_path / "whole")
    train(whole)
    for length, resume in ((2, False), (4, True)):
        train(small_config(*NO_TEST, *SLOWER, *schedule, "SOLVER.LENGTH", length), resume)
    one, other = _checkpoint(whole), _checkpoint(small_config())
    assert all(torch.equal(value, other["model"][name]) for name, value in one["model"].items())


@pytest.mark.parametrize(
    "options",
    [
        ("SOLVER.LAYER_RATES", "[{PATTERN: head.*, FACTOR: 0.1}]"),
        ("SOLVER.LAYER_RATES", "[]"),
        ("MODEL.FREEZE", "[backbone.stages.C2*]", *SLOWER),
    ],
)
def test_resuming_with_other_groups_is_refused(small_config: SmallConfig, options: tuple[str, ...]) -> None:
    train(small_config(*NO_TEST, *SLOWER, "SOLVER.LENGTH", 2))
    with pytest.raises(CheckpointError, match=r"SOLVER\.LAYER_RATES, MODEL\.FREEZE or the network are not those of before"):
        train(small_config(*NO_TEST, "SOLVER.LENGTH", 4, *options), resume=True)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "SOLVER.LAYER_RATES",
            "[{PATTERN: backbone.*, FACTOR: 0}]",
            r"expected a list of \{PATTERN: .*, FACTOR: a number > 0\}",
        ),
        ("SOLVER.LAYER_RATES", "[{PATTERN: backbone.*, FACTR: 1}]", "expected a list of"),
        ("SOLVER.LAYER_RATES", "[{PATTERN: backbone.*, FACTOR: 1, AND: 2}]", "expected a list of"),
        ("MODEL.FREEZE", "backbone.*", "expected list of strings, got 'backbone"),
    ],
)
def test_values_of_another_form_are_refused(small_config: SmallConfig, key: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small_config(key, value)


def test_a_name_that_does_not_exist_leaves_no_folder(small_config: SmallConfig) -> None:
    cfg = small_config("MODEL.FREEZE", "[backbone.stage.*]")
    with pytest.raises(ConfigError, match=r"MODEL\.FREEZE: .*Did you mean 'backbone\.stages'\?"):
        train(cfg)
    assert not Path(cfg.OUTPUT_DIR).exists()
