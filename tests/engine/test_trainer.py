from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from dettoolkit.engine.hooks import Hook, NonFiniteLoss
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import CheckpointError, ConfigError, TrainingError
from dettoolkit.structures import LossOutput

BuildTrainer = Callable[..., Trainer]


class Diary(Hook):
    """Notes each call with the number of steps done."""

    def __init__(self, name: str, notes: list[str], fails_at: str = "") -> None:
        self.owner, self.notes, self.fails_at = name, notes, fails_at

    def _note(self, stage: str, trainer: Trainer) -> None:
        self.notes.append(f"{self.owner} {stage} {trainer.iteration}")
        if self.fails_at == f"{stage} {trainer.iteration}":
            raise ZeroDivisionError(self.fails_at)

    def before_train(self, trainer: Trainer) -> None:
        self._note("before_train", trainer)

    def before_step(self, trainer: Trainer) -> None:
        self._note("before_step", trainer)

    def after_step(self, trainer: Trainer) -> None:
        self._note("after_step", trainer)

    def after_train(self, trainer: Trainer) -> None:
        self._note("after_train", trainer)

    def on_exception(self, trainer: Trainer, error: BaseException) -> None:
        self.notes.append(f"{self.owner} on_exception {error}")


class Stateful(Hook):
    def __init__(self) -> None:
        self.count = 0

    def after_step(self, trainer: Trainer) -> None:
        self.count += 1

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


class Asker(Hook):
    def after_step(self, trainer: Trainer) -> None:
        if trainer.iteration == 2:
            trainer.request_stop("seen enough")
            trainer.request_stop("a later reason")


def test_hooks_are_called_stage_by_stage_in_the_order_of_the_list(line_trainer: BuildTrainer) -> None:
    notes: list[str] = []
    line_trainer(hooks=[Diary("a", notes), Diary("b", notes)], num_iterations=2).train()
    stages = ["before_train 0", "before_step 0", "after_step 1", "before_step 1", "after_step 2", "after_train 2"]
    assert notes == [f"{owner} {stage}" for stage in stages for owner in "ab"]


@pytest.mark.parametrize("fails_at", ["before_train 0", "before_step 1", "after_step 1", "after_train 2"])
def test_after_an_exception_every_hook_hears_of_it_and_none_that_training_ended(
    line_trainer: BuildTrainer, fails_at: str
) -> None:
    notes: list[str] = []
    with pytest.raises(ZeroDivisionError):
        line_trainer(hooks=[Diary("a", notes, fails_at), Diary("b", notes)], num_iterations=2).train()
    assert notes[-3:] == [f"a {fails_at}", f"a on_exception {fails_at}", f"b on_exception {fails_at}"]
    assert "b after_train 2" not in notes


def test_an_interrupt_reaches_the_hooks_too(line_trainer: BuildTrainer) -> None:
    class Interrupter(Hook):
        def after_step(self, trainer: Trainer) -> None:
            raise KeyboardInterrupt

    notes: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        line_trainer(hooks=[Interrupter(), Diary("a", notes)]).train()
    assert notes[-1] == "a on_exception "


def test_two_hooks_that_keep_state_under_one_name_are_refused(line_trainer: BuildTrainer) -> None:
    with pytest.raises(ConfigError, match=r"^HOOKS: .*one stands twice: Stateful, Stateful\.$"):
        line_trainer(hooks=[Stateful(), Stateful()])
    line_trainer(hooks=[Asker(), Asker()])  # without state there is nothing to confuse


def test_a_step_descends_the_gradient(line_trainer: BuildTrainer) -> None:
    trainer = line_trainer([1.0, 3.0], num_iterations=1)
    trainer.train()
    # at weight 0.5: losses 0.25 and 0.25; gradients 2 (w p - 1) p = -1 and 3, mean 1; 0.5 - 0.1 * 1
    assert float(trainer.latest_metrics["loss"]) == pytest.approx(0.25)
    assert float(trainer.latest_metrics["loss_x"]) == pytest.approx(0.25)
    assert trainer.model.weight.item() == pytest.approx(0.4)


def test_accumulated_parts_are_averaged_into_one_step(line_trainer: BuildTrainer) -> None:
    parts = line_trainer([1.0, 2.0], [3.0, 4.0], num_iterations=3, accumulate=2)
    whole = line_trainer([1.0, 2.0, 3.0, 4.0], num_iterations=3)
    for trainer in (parts, whole):
        trainer.train()
    assert parts.model.weight.item() == pytest.approx(whole.model.weight.item(), rel=1e-6)
    assert float(parts.latest_metrics["loss"]) == pytest.approx(float(whole.latest_metrics["loss"]), rel=1e-6)
    assert float(parts.latest_metrics["num_positives"]) == 1.0
    assert len(parts.latest_batches) == 2


def test_a_gradient_is_clipped_to_the_norm_and_its_own_norm_is_told(line_trainer: BuildTrainer) -> None:
    trainer = line_trainer([5.0], num_iterations=1, clip_gradient_norm=2.0)
    trainer.train()
    # gradient 2 (0.5 * 5 - 1) 5 = 15, clipped to 2: 0.5 - 0.1 * 2
    assert float(trainer.latest_metrics["gradient_norm"]) == pytest.approx(15.0)
    assert trainer.model.weight.item() == pytest.approx(0.3, rel=1e-5)


def test_a_gradient_below_the_norm_is_not_clipped(line_trainer: BuildTrainer) -> None:
    trainer = line_trainer([1.0], num_iterations=1, clip_gradient_norm=2.0)
    trainer.train()
    assert trainer.model.weight.item() == pytest.approx(0.6)  # gradient -1


@pytest.mark.parametrize(("amp", "dtype"), [("none", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_amp_chooses_the_precision_of_matrix_products_and_trains(
    line_trainer: BuildTrainer, amp: str, dtype: torch.dtype
) -> None:
    seen = []

    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def forward(self, images: torch.Tensor, *_: Any) -> Any:
            out = self.layer(images.flatten(1))
            seen.append(out.dtype)
            return LossOutput({"loss_x": (out.float() - 1).square().mean()})

    # in fp16 the first scales may overflow, and those steps are left out
    trainer = line_trainer([1.0], model=Product(), amp=amp, clip_gradient_norm=10.0, num_iterations=12)
    before = trainer.model.layer.weight.item()  # type: ignore[union-attr, operator]
    trainer.train()
    assert set(seen) == {dtype}
    assert trainer.model.layer.weight.item() != before  # type: ignore[union-attr, operator]


def test_a_loss_that_is_no_number_changes_no_weight(line_trainer: BuildTrainer) -> None:
    trainer = line_trainer([1.0], [float("nan")], hooks=[NonFiniteLoss()])
    with pytest.raises(TrainingError):
        trainer.train()
    assert trainer.iteration == 2
    assert not trainer.step_was_finite
    assert trainer.model.weight.item() == pytest.approx(0.6)  # that of the first step


def test_a_part_that_is_no_number_spoils_the_whole_step(line_trainer: BuildTrainer) -> None:
    trainer = line_trainer([float("inf")], [1.0], accumulate=2, hooks=[NonFiniteLoss()])
    with pytest.raises(TrainingError):
        trainer.train()
    assert trainer.model.weight.item() == 0.5


def test_a_hook_can_end_the_training_in_good_order(line_trainer: BuildTrainer, caplog: pytest.LogCaptureFixture) -> None:
    notes: list[str] = []
    with caplog.at_level(logging.INFO):
        line_trainer(hooks=[Asker(), Diary("a", notes)], num_iterations=5).train()
    assert notes[-2:] == ["a after_step 2", "a after_train 2"]
    assert "training stops at iteration 2: seen enough" in caplog.text


def test_nothing_left_to_train_is_said_and_no_hook_is_called(
    line_trainer: BuildTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    notes: list[str] = []
    trainer = line_trainer(hooks=[Diary("a", notes)], num_iterations=3)
    trainer.iteration = 3
    trainer.train()
    assert notes == []
    assert trainer.model.weight.item() == 0.5
    assert "all 3 iterations are done: nothing is left to train. A longer SOLVER.LENGTH goes on." in caplog.text


def test_what_an_evaluation_recorded_is_gone_after_its_step(line_trainer: BuildTrainer) -> None:
    seen = []

    class Recorder(Hook):
        def after_step(self, trainer: Trainer) -> None:
            seen.append(dict(trainer.recorded))
            if trainer.iteration == 1:
                trainer.recorded["bbox/AP"] = 0.5

    line_trainer(hooks=[Recorder()], num_iterations=2).train()
    assert seen == [{}, {}]


def test_state_goes_to_another_trainer_with_the_hooks_state(line_trainer: BuildTrainer) -> None:
    first, second = line_trainer(hooks=[Stateful()]), line_trainer(hooks=[Stateful()], num_iterations=5)
    first.train()
    second.load_state_dict(first.state_dict())
    assert second.iteration == 3
    second.train()
    assert second.hooks[0].state_dict() == {"count": 5}


def test_settings_of_the_optimizer_are_the_configs_not_the_checkpoints(line_trainer: BuildTrainer) -> None:
    first, second = line_trainer(), line_trainer()
    first.train()
    second.optimizer.param_groups[0]["lr"] = 0.05
    second.load_state_dict(first.state_dict())
    assert second.optimizer.param_groups[0]["lr"] == 0.05


def test_the_state_of_another_optimizer_is_refused(line_trainer: BuildTrainer) -> None:
    first, second = line_trainer(), line_trainer()
    second.optimizer = torch.optim.AdamW(second.model.parameters())
    with pytest.raises(CheckpointError, match=r"SOLVER\.OPTIMIZER: the state is that of SGD, which AdamW cannot go on from"):
        second.load_state_dict(first.state_dict())
    assert second.iteration == 0


def test_the_state_of_other_parameters_is_refused(line_trainer: BuildTrainer) -> None:
    first, second = line_trainer(), line_trainer(model=nn.Linear(1, 1))
    with pytest.raises(CheckpointError, match="the state of the optimizer is of other parameters"):
        second.load_state_dict(first.state_dict())


def test_epochs_are_counted_in_shares(line_trainer: BuildTrainer) -> None:
    trainer = line_trainer(num_iterations=3)
    trainer.train()
    assert trainer.epoch == 1.5  # two steps an epoch
