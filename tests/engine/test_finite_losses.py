"""Losses that are looked at only where something is due: the training is that of looking after each step."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from dettoolkit.engine.finite_losses import FiniteLosses, NotedStep, leaves_out_updates
from dettoolkit.engine.hooks import Hook, NonFiniteLoss, PeriodicCheckpoint
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import TrainingError

BuildTrainer = Callable[..., Trainer]
OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, fused=True),
    "SGD with momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, fused=True),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.1, fused=True),
}
BAD_AT_THREE = ([1.0], [2.0], [math.nan], [3.0], [4.0], [5.0])


class Due(Hook):
    """Is due every ``period`` steps, and notes after each what is known then, and the weight."""

    def __init__(self, period: int) -> None:
        self.period = period
        self.seen: list[tuple[int, bool, float]] = []

    def is_due(self, trainer: Trainer) -> bool:
        return trainer.iteration % self.period == 0

    def after_step(self, trainer: Trainer) -> None:
        self.seen.append((trainer.iteration, trainer.step_was_finite, trainer.model.weight.item()))  # type: ignore[union-attr, operator]


class Saves:
    def __init__(self) -> None:
        self.made: list[int] = []

    def save_training(self, trainer: Trainer, name: str | None = None, keep: int | None = None) -> None:
        self.made.append(trainer.iteration)

    save_broken_off = save_training


@pytest.fixture
def build(line_trainer: BuildTrainer) -> BuildTrainer:
    """``build(optimizer, deferred, hooks, batches, ...)``: a trainer of one weight with that optimizer."""

    def made(
        optimizer: str, deferred: bool, hooks: list[Hook], batches: Any = BAD_AT_THREE, num_iterations: int = 6, **options: Any
    ) -> Trainer:
        trainer = line_trainer(*batches, hooks=hooks, num_iterations=num_iterations, deferred=deferred, **options)
        trainer.optimizer = OPTIMIZERS[optimizer](trainer.model.parameters())
        return trainer

    return made


def _error(trainer: Trainer) -> str:
    with pytest.raises(TrainingError) as caught:
        trainer.train()
    return str(caught.value)


def _state(trainer: Trainer) -> list[float]:
    """The weight and what the optimizer keeps of it."""
    kept = trainer.optimizer.state[trainer.model.weight]
    return [trainer.model.weight.item(), *(float(value) for value in kept.values() if value is not None)]  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_bad_step_is_told_later_and_leaves_everything_as_it_was_before_it(build: BuildTrainer, optimizer: str) -> None:
    at_once = build(optimizer, False, [NonFiniteLoss()])
    later = build(optimizer, True, [NonFiniteLoss(), due := Due(5)])
    assert _error(later) == _error(at_once)
    assert "iteration 3: the loss is not finite (loss nan, loss_x nan)" in _error(build(optimizer, True, [NonFiniteLoss()]))
    assert (at_once.iteration, later.iteration) == (3, 5)
    assert _state(later) == _state(at_once)
    assert [finite for _, finite, _ in due.seen] == [True] * 4  # step 5 was told of before this hook
    assert len({weight for _, _, weight in due.seen[1:]}) == 1  # no step after the bad one has changed it


@pytest.mark.parametrize("amp", ["none", "bf16", "fp16"])
@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_training_without_bad_steps_is_the_same(build: BuildTrainer, optimizer: str, clip: float | None, amp: str) -> None:
    batches, options = ([1.0], [2.0], [0.5], [3.0]), {"amp": amp, "clip_gradient_norm": clip, "accumulate": 2}
    both = [build(optimizer, deferred, [Due(4)], batches, **options) for deferred in (False, True)]
    for trainer in both:
        trainer.train()
    assert _state(both[0]) == _state(both[1])
    assert both[1].model.weight.item() != 0.5  # type: ignore[union-attr, operator]
    assert both[0].scaler.state_dict() == both[1].scaler.state_dict()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps_that_gradient_scaling_leaves_out_are_not_bad(build: BuildTrainer, optimizer: str) -> None:
    # at a pixel of 1e18 the loss is about (0.5e18)^2 = 2.5e35 and its gradient 1e36: finite, until multiplied by the scale
    batches = ([1.0], [1e18], [1.0])
    both = [build(optimizer, deferred, [NonFiniteLoss()], batches, 3, amp="fp16") for deferred in (False, True)]
    for trainer in both:
        trainer.train()
        assert trainer.step_was_finite
    assert both[1].scaler.get_scale() == 65536 / 2
    assert _state(both[0]) == _state(both[1])


def test_with_gradient_scaling_a_bad_loss_changes_nothing_either(build: BuildTrainer) -> None:
    both = [build("SGD with momentum", deferred, [NonFiniteLoss()], amp="fp16") for deferred in (False, True)]
    assert _error(both[0]) == _error(both[1])
    assert _state(both[0]) == _state(both[1])


def test_the_loss_of_the_first_step_is_read_at_once(build: BuildTrainer) -> None:
    # momentum is made in the first step: of what the memory holds, where torch leaves the step out
    trainer = build("SGD with momentum", True, [NonFiniteLoss(), Due(5)], ([math.inf], [1.0]))
    assert _error(trainer).startswith("iteration 1: the loss is not finite (loss inf, loss_x inf) at learning rate 0.1.")
    assert trainer.iteration == 1
    assert not trainer.optimizer.state


def test_without_a_hook_that_stops_it_a_training_goes_on_after_a_look(build: BuildTrainer) -> None:
    trainer = build("SGD", True, [due := Due(4)], [*BAD_AT_THREE])
    trainer.train()
    weights = {iteration: weight for iteration, _, weight in due.seen}
    assert weights[1] != weights[2] == weights[3] == weights[4] != weights[5]
    assert [finite for _, finite, _ in due.seen] == [True, True, True, False, False, True]
    assert trainer.finite_losses.first_bad is None


def test_a_bad_step_before_a_stop_is_told_before_anything_is_saved(build: BuildTrainer) -> None:
    class Asker(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.iteration == 4:
                trainer.request_stop("seen enough")

    saves = Saves()
    trainer = build("SGD", True, [NonFiniteLoss(), Asker(), PeriodicCheckpoint(saves, 0)])  # type: ignore[arg-type]
    assert _error(trainer).startswith("iteration 3: the loss is not finite")
    assert trainer.iteration == 4
    assert saves.made == []


def test_a_bad_step_before_an_interrupt_keeps_the_state_from_being_saved(
    build: BuildTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    class Interrupt(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.iteration == 4:
                raise KeyboardInterrupt

    saves = Saves()
    with pytest.raises(KeyboardInterrupt):
        build("SGD", True, [NonFiniteLoss(), Interrupt(), PeriodicCheckpoint(saves, 0)]).train()  # type: ignore[arg-type]
    assert saves.made == []
    assert "nothing is saved: the loss of iteration 3 was not finite" in caplog.text


def test_a_checkpoint_that_is_due_is_not_made_of_a_bad_step(build: BuildTrainer) -> None:
    saves = Saves()
    _error(build("SGD", True, [NonFiniteLoss(), PeriodicCheckpoint(saves, "2it")]))  # type: ignore[arg-type]
    assert saves.made == [2]


def test_where_nothing_is_due_the_loss_is_looked_at_all_the_same(build: BuildTrainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dettoolkit.engine.trainer._MOST_UNREAD", 2)
    trainer = build("SGD", True, [NonFiniteLoss()], num_iterations=50)
    assert _error(trainer).startswith("iteration 3: ")
    assert trainer.iteration == 3  # the first is read at once, then every second


def test_only_optimizers_that_leave_out_updates_are_not_waited_for() -> None:
    weight = [nn.Parameter(torch.ones(1))]
    assert leaves_out_updates(torch.optim.SGD(weight, fused=True))
    assert leaves_out_updates(torch.optim.AdamW(weight, fused=True))
    assert not leaves_out_updates(torch.optim.SGD(weight))
    assert not leaves_out_updates(torch.optim.RMSprop(weight))


@pytest.mark.parametrize(("device", "deferred", "said"), [("cpu", None, False), ("meta", None, True), ("meta", True, False)])
def test_that_each_step_waits_is_said_where_it_need_not(
    caplog: pytest.LogCaptureFixture, device: str, deferred: bool | None, said: bool
) -> None:
    optimizer = torch.optim.RMSprop([nn.Parameter(torch.ones(1))])
    with caplog.at_level(logging.INFO):
        FiniteLosses(optimizer, torch.device(device), deferred).start()
    expected = (
        "each step waits on meta until its loss is known: RMSprop does not leave out updates by itself there; "
        "SGD and AdamW do on CUDA"
    )
    assert [record.getMessage() for record in caplog.records] == [expected] * said


def test_what_is_kept_of_a_step_is_small(line_trainer: BuildTrainer) -> None:
    trainer = line_trainer([1.0, 2.0])
    trainer.train()
    step = NotedStep.of(7, 0.5, {"loss": torch.ones(()), "num_positives": torch.ones(())}, trainer.latest_batches)
    assert (step.iteration, step.learning_rate, list(step.losses)) == (7, 0.5, ["loss"])
    assert step.file_names == ["1.png", "2.png"]
    assert [len(target) for target in step.targets] == [0, 0]
    assert not any(value is batch.images for batch in trainer.latest_batches for value in vars(step).values())
