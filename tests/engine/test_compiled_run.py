"""Runs with MODEL.COMPILE: the losses, checkpoints and evaluations of runs without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.engine import train
from dettoolkit.errors import ConfigError
from dettoolkit.modeling.compiling import compile_for_training

SmallConfig = Callable[..., CfgNode]
Losses = Callable[[Path], list[float]]

COMPILER = "dettoolkit.engine.run.compile_for_training"


@pytest.fixture(autouse=True)
def _nothing_compiled_before() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("mode", ["network", "step"])
def test_losses_and_weights_are_those_of_a_run_without(
    small_config: SmallConfig, tmp_path: Path, losses: Losses, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(COMPILER, partial(compile_for_training, backend="eager"))
    numbers = {}
    for value in ("none", mode):
        numbers[value] = train(small_config("MODEL.COMPILE", value, "SOLVER.LENGTH", 3, "OUTPUT_DIR", tmp_path / value))
    assert losses(tmp_path / mode) == pytest.approx(losses(tmp_path / "none"), rel=1e-4)
    assert numbers[mode] == pytest.approx(numbers["none"], rel=1e-3, nan_ok=True)
    weights = [
        torch.load(tmp_path / value / "checkpoints/model_final.pth", weights_only=True)["model"] for value in ("none", mode)
    ]
    assert weights[0].keys() == weights[1].keys()
    log = (tmp_path / mode / "log.txt").read_text()
    assert log.count("compiling for 8 x 64 x 64 took") == 1  # the training's; evaluation is not compiled


def test_batches_of_many_sizes_become_few(small_config: SmallConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(COMPILER, partial(compile_for_training, backend="eager"))
    options = ("MODEL.COMPILE", "network", "DATALOADER.PAD_TO", "null", "SOLVER.BATCH_SIZE", 2, "EVALUATION.PERIOD", 0)
    train(small_config(*options, "OUTPUT_DIR", tmp_path / "run"))
    log = (tmp_path / "run/log.txt").read_text()
    assert log.count("compiling for 2 x 128 x 128 took") == log.count("compiling for") == 1


def test_a_compiler_that_fails_ends_the_start_of_the_run(
    small_config: SmallConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(graph: Any, inputs: Any) -> Any:
        raise FileNotFoundError("no C++ compiler")

    monkeypatch.setattr(COMPILER, partial(compile_for_training, backend=failing))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"MODEL\.COMPILE: torch\.compile failed: FileNotFoundError: no C\+\+ compiler"):
        train(small_config("MODEL.COMPILE", "network", "OUTPUT_DIR", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_other_words_are_refused_with_the_nearest(small_config: SmallConfig) -> None:
    with pytest.raises(ConfigError, match=r"MODEL\.COMPILE .*expected 'none' or 'network' or 'step', got 'netwrk'"):
        small_config("MODEL.COMPILE", "netwrk")
