"""The moving average of the weights: its formula, its steps, its place in checkpoints, and trainings in several parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.engine import evaluate, train
from dettoolkit.engine.hooks import EMA, Hook, NonFiniteLoss
from dettoolkit.engine.run import _build_trainer
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import ConfigError, TrainingError
from dettoolkit.structures import LossOutput

BuildTrainer = Callable[..., Trainer]
SmallConfig = Callable[..., CfgNode]

AVERAGED = ("HOOKS.2", "{NAME: EMA, DECAY: 0.9, WARMUP: 3}")


class Normed(nn.Module):
    """A weight, and batch norm, whose statistics are buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.weight = nn.BatchNorm1d(1), nn.Parameter(torch.tensor(0.5))

    def forward(self, images: torch.Tensor, *_: Any) -> LossOutput:
        return LossOutput({"loss_x": (self.weight * self.norm(images.flatten(1)) + images.mean() - 1).square().mean()})


class Weights(Hook):
    """Notes the trained and the averaged weight after each step."""

    def __init__(self) -> None:
        self.trained: list[float] = []
        self.averaged: list[float] = []

    def after_step(self, trainer: Trainer) -> None:
        self.trained.append(trainer.model.weight.item())  # type: ignore[union-attr, operator]
        self.averaged.append(trainer.model_for_evaluation.weight.item())  # type: ignore[union-attr, operator]


def _formula(first: float, trained: list[float], decay: float, warmup: float) -> list[float]:
    """The average after each step, in float64 from the definition."""
    averages, average = [], first
    for step, weight in enumerate(trained, start=1):
        kept = decay * (1 - math.exp(-step / warmup)) if warmup else decay
        average = kept * average + (1 - kept) * weight
        averages.append(average)
    return averages


@pytest.mark.parametrize(("decay", "warmup"), [(0.9, 0.0), (0.5, 3.0), (0.0, 0.0)])
def test_the_average_follows_its_formula(line_trainer: BuildTrainer, decay: float, warmup: float) -> None:
    trainer, notes = line_trainer([2.0], [1.0], num_iterations=5), Weights()
    trainer.hooks = [EMA(trainer.model, decay, warmup), notes]
    trainer.train()
    assert len(set(notes.trained)) == 5
    assert notes.averaged == pytest.approx(_formula(0.5, notes.trained, decay, warmup), rel=1e-6)


def test_the_weights_that_are_trained_are_those_without_an_average(line_trainer: BuildTrainer) -> None:
    plain, averaged = line_trainer([1.0], num_iterations=5), line_trainer([1.0], num_iterations=5)
    averaged.hooks = [EMA(averaged.model, 0.9)]
    for trainer in (plain, averaged):
        trainer.train()
    assert averaged.model.weight.item() == plain.model.weight.item()
    assert averaged.model_for_evaluation.weight.item() != averaged.model.weight.item()  # type: ignore[union-attr, operator]


def test_buffers_are_copied_and_the_average_is_never_in_training_mode(line_trainer: BuildTrainer) -> None:
    trainer = line_trainer([1.0, 3.0], [4.0, 8.0], model=Normed())
    ema = EMA(trainer.model, 0.9)
    trainer.hooks = [ema]
    trainer.train()
    pairs = list(zip(ema.average.buffers(), trainer.model.buffers(), strict=True))
    assert len(pairs) == 3  # mean, variance, number of batches
    assert all(torch.equal(*pair) for pair in pairs)
    assert int(trainer.model.norm.num_batches_tracked) == 3  # type: ignore[union-attr, arg-type]
    assert not any(module.training for module in ema.average.modules())
    assert not any(parameter.requires_grad for parameter in ema.average.parameters())


@pytest.mark.parametrize("deferred", [False, True])
def test_a_step_that_is_not_finite_changes_nothing(line_trainer: BuildTrainer, deferred: bool) -> None:
    """Whether its loss is known at once, or later as on a GPU (of which the fused optimizer's flag is the device's)."""
    trainer, notes = line_trainer([1.0], [math.nan], num_iterations=3, deferred=deferred), Weights()
    trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.1, fused=True)
    trainer.hooks = [EMA(trainer.model, 0.5, 0), notes]
    trainer.train()
    assert notes.trained[1] == notes.trained[0]
    assert notes.averaged[1] == notes.averaged[0] != notes.trained[0]


def test_between_unread_steps_the_average_moves_as_between_read_ones(line_trainer: BuildTrainer) -> None:
    averages = []
    for deferred in (False, True):
        trainer, notes = line_trainer([1.0], num_iterations=4, deferred=deferred), Weights()
        trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.1, fused=True)
        trainer.hooks = [EMA(trainer.model, 0.5, 2), notes]
        trainer.train()
        averages.append(notes.averaged)
    assert averages[1] == pytest.approx(averages[0], rel=1e-6)


def test_a_stop_at_a_loss_that_is_not_finite_leaves_the_average_of_before(line_trainer: BuildTrainer) -> None:
    trainer = line_trainer([1.0], [math.nan])
    ema = EMA(trainer.model, 0.5, 0)
    trainer.hooks = [NonFiniteLoss(), ema]
    with pytest.raises(TrainingError):
        trainer.train()
    assert ema.average.weight.item() == pytest.approx((0.5 + trainer.model.weight.item()) / 2)  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("numbers", [{"decay": 1.0}, {"decay": -0.1}, {"warmup": -1.0}, {"warmup": math.inf}])
def test_numbers_out_of_range_are_refused(numbers: dict[str, float]) -> None:
    (name,) = numbers
    with pytest.raises(ValueError, match=f"^{name} expects"):
        EMA(nn.Linear(1, 1), **numbers)


def test_two_averages_are_refused(line_trainer: BuildTrainer) -> None:
    trainer = line_trainer()
    trainer.hooks = [EMA(trainer.model), EMA(trainer.model)]
    with pytest.raises(ConfigError, match=r"^HOOKS: EMA stands twice"):
        trainer.train()


def _load(cfg: CfgNode, name: str = "model_final.pth") -> dict[str, Any]:
    return torch.load(Path(cfg.OUTPUT_DIR) / "checkpoints" / name, weights_only=True)


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_checkpoints_have_the_average_as_model_and_the_trained_weights_beside_it(
    small_config: SmallConfig, tmp_path: Path
) -> None:
    """What is trained is what is trained without; --eval-only takes the average."""
    common = ("SOLVER.LENGTH", 3, "EVALUATION.PERIOD", 0)
    averaged = small_config(*common, *AVERAGED, "OUTPUT_DIR", tmp_path / "averaged")
    plain = small_config(*common, "OUTPUT_DIR", tmp_path / "plain")
    numbers, _ = train(averaged), train(plain)
    saved, trained = _load(averaged), _load(plain)["model"]
    assert _equal(saved["training"]["model"], trained)
    assert not _equal(saved["model"], trained)
    assert "model" not in _load(plain)["training"]
    assert evaluate(averaged) == pytest.approx(numbers)


class _StopAt(Hook):
    def after_step(self, trainer: Trainer) -> None:
        if trainer.iteration == 2:
            trainer.request_stop("half of it")


def _train_in_two_parts(cfg: CfgNode, monkeypatch: pytest.MonkeyPatch, second: CfgNode | None = None) -> dict[str, Any]:
    """Train two of four steps, then the others; return the checkpoint of the first part."""

    def build(*arguments: Any) -> Trainer:
        trainer = _build_trainer(*arguments)
        trainer.hooks.append(_StopAt())
        return trainer

    with monkeypatch.context() as patch:
        patch.setattr("dettoolkit.engine.run._build_trainer", build)
        train(cfg)
    first = _load(cfg)
    train(second or cfg, resume=True)
    return first


def test_two_parts_of_a_training_equal_the_whole(
    small_config: SmallConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("SOLVER.LENGTH", 4, "DATASETS.TEST", "[]", *AVERAGED)
    whole = small_config(*common, "OUTPUT_DIR", tmp_path / "whole")
    parts = small_config(*common, "OUTPUT_DIR", tmp_path / "parts")
    train(whole)
    _train_in_two_parts(parts, monkeypatch)
    one, other = _load(whole), _load(parts)
    assert _equal(one["model"], other["model"])
    assert _equal(one["training"]["model"], other["training"]["model"])
    assert one["training"]["hooks"]["EMA"] == other["training"]["hooks"]["EMA"] == {"num_steps": 4}


def test_a_training_resumed_without_the_hook_goes_on_with_the_trained_weights(
    small_config: SmallConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("SOLVER.LENGTH", 4, "DATASETS.TEST", "[]")
    plain = small_config(*common, "OUTPUT_DIR", tmp_path / "plain")
    parts = small_config(*common, "OUTPUT_DIR", tmp_path / "parts")
    train(plain)
    _train_in_two_parts(small_config(*common, *AVERAGED, "OUTPUT_DIR", tmp_path / "parts"), monkeypatch, second=parts)
    assert _equal(_load(plain)["model"], _load(parts)["model"])


def test_an_average_begun_in_the_second_part_begins_with_the_weights_of_the_first(
    small_config: SmallConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("SOLVER.LENGTH", 4, "DATASETS.TEST", "[]", "OUTPUT_DIR", tmp_path / "parts")
    lasting = small_config(*common, "HOOKS.2", "{NAME: EMA, DECAY: 0.99999999, WARMUP: 0}")
    first = _train_in_two_parts(small_config(*common), monkeypatch, second=lasting)
    saved = _load(lasting)
    assert saved["training"]["hooks"]["EMA"] == {"num_steps": 2}
    assert not _equal(saved["training"]["model"], first["model"])
    for name, value in first["model"].items():
        torch.testing.assert_close(saved["model"][name], value)


def test_an_interrupt_before_the_average_has_moved_leaves_a_state_to_go_on_from(line_trainer: BuildTrainer) -> None:
    class Interrupter(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.iteration == 2:
                raise KeyboardInterrupt

    trainer, notes = line_trainer([1.0]), Weights()
    ema = EMA(trainer.model, 0.5, 0)
    trainer.hooks = [Interrupter(), ema, notes]
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    expected = _formula(0.5, [notes.trained[0], trainer.model.weight.item()], 0.5, 0)[-1]
    assert ema.average.weight.item() == pytest.approx(expected, rel=1e-6)  # type: ignore[union-attr, operator]
    assert ema.num_steps == 2
