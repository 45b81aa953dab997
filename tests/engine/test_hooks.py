from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from dettoolkit.config import load_config
from dettoolkit.engine.checkpointing import Checkpointer
from dettoolkit.engine.hooks import (
    BestCheckpoint,
    Evaluation,
    FocalMicroscope,
    Hook,
    LearningRate,
    MetricWriters,
    NonFiniteLoss,
    ParametersWithoutGradient,
    PeriodicCheckpoint,
)
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import ConfigError, TrainingError
from dettoolkit.structures import Annotations, DatasetInfo, Duration

BuildTrainer = Callable[..., Trainer]


class Recorded(Hook):
    """Leaves the numbers of an evaluation after the steps that have some."""

    def __init__(self, by_iteration: dict[int, dict[str, float]]) -> None:
        self.by_iteration = by_iteration

    def after_step(self, trainer: Trainer) -> None:
        trainer.recorded |= self.by_iteration.get(trainer.iteration, {})


class Saves:
    """In place of a Checkpointer: what was saved when."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []

    def save_model(self, trainer: Trainer, name: str) -> None:
        self.made.append((name, trainer.iteration))

    def save_training(self, trainer: Trainer, name: str | None = None, keep: int | None = None) -> None:
        self.made.append((name or f"keep {keep}", trainer.iteration))

    def save_broken_off(self, trainer: Trainer) -> Path | None:
        self.made.append(("broken off", trainer.iteration))
        return Path("model.pth")


class Lines:
    """In place of a writer: what was written when."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, dict[str, float]]] = []
        self.calls: list[str] = []

    def open(self, trainer: Trainer) -> None:
        self.calls.append("open")

    def write(self, trainer: Trainer, numbers: dict[str, float]) -> None:
        self.lines.append((trainer.iteration, dict(numbers)))

    def close(self) -> None:
        self.calls.append("close")


class Steps:
    """A schedule with a factor for each iteration."""

    def multiplier(self, iteration: int) -> float:
        return [1.0, 0.5, 0.1][iteration]


def test_the_default_list_of_hooks() -> None:
    config = Path(__file__).parents[2] / "configs" / "tiny.yaml"
    hooks = [hook["NAME"] for hook in load_config(config).HOOKS]
    assert hooks == [
        "LearningRate",
        "NonFiniteLoss",  # before all that would evaluate, save or write what is spoilt
        "ParametersWithoutGradient",
        "Evaluation",
        "BestCheckpoint",  # compares what Evaluation left
        "PeriodicCheckpoint",  # saves the state of BestCheckpoint
        "MetricWriters",
        "Report",  # reads what MetricWriters wrote
    ]


def test_the_learning_rate_of_each_group_is_its_own_times_the_schedule(line_trainer: BuildTrainer) -> None:
    seen = []

    class Watch(Hook):
        def after_step(self, trainer: Trainer) -> None:
            seen.append([group["lr"] for group in trainer.optimizer.param_groups] + [trainer.latest_metrics["lr"]])

    trainer = line_trainer(hooks=[LearningRate(Steps()), Watch()])
    trainer.optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "lr": 0.01})
    trainer.train()
    assert seen == [pytest.approx([0.1 * f, 0.01 * f, 0.1 * f]) for f in (1.0, 0.5, 0.1)]


def test_the_learning_rate_goes_on_after_a_resume_as_if_nothing_had_been(line_trainer: BuildTrainer) -> None:
    first = line_trainer(hooks=[LearningRate(Steps())], num_iterations=2)
    first.train()
    second = line_trainer(hooks=[LearningRate(Steps())], num_iterations=3)
    second.load_state_dict(first.state_dict())
    second.train()
    assert second.latest_metrics["lr"] == pytest.approx(0.01)


def test_the_best_model_is_saved_whenever_it_is_better(line_trainer: BuildTrainer) -> None:
    saves = Saves()
    values = {1: 0.1, 2: 0.3, 3: 0.3, 4: 0.2, 6: 0.4}
    recorded = Recorded({iteration: {"bbox/AP": value} for iteration, value in values.items()})
    best = BestCheckpoint(saves)  # type: ignore[arg-type]
    line_trainer(hooks=[recorded, best], num_iterations=7).train()
    assert saves.made == [("model_best.pth", 1), ("model_best.pth", 2), ("model_best.pth", 6)]
    assert best.state_dict() == {"best": 0.4, "best_iteration": 6}


def test_the_best_can_be_the_smallest_and_is_remembered_over_a_resume(line_trainer: BuildTrainer) -> None:
    saves = Saves()
    recorded = Recorded({1: {"validation/loss": 0.8}, 2: {"validation/loss": 0.5}})
    best = BestCheckpoint(saves, "validation/loss", "min")  # type: ignore[arg-type]
    best.load_state_dict({"best": 0.6, "best_iteration": 9})
    line_trainer(hooks=[recorded, best]).train()
    assert saves.made == [("model_best.pth", 2)]


def test_the_best_of_several_data_sets_is_that_of_the_first_unless_named(line_trainer: BuildTrainer) -> None:
    numbers = {1: {"a/bbox/AP": 0.1, "b/bbox/AP": 0.9}, 2: {"a/bbox/AP": 0.2, "b/bbox/AP": 0.8}}
    made = {}
    for metric in ("bbox/AP", "b/bbox/AP"):
        saves = Saves()
        line_trainer(hooks=[Recorded(numbers), BestCheckpoint(saves, metric)]).train()  # type: ignore[arg-type]
        made[metric] = [iteration for _, iteration in saves.made]
    assert made == {"bbox/AP": [1, 2], "b/bbox/AP": [1]}


def test_an_unknown_metric_stops_the_training_at_the_first_evaluation(line_trainer: BuildTrainer) -> None:
    hooks = [Recorded({1: {"bbox/AP50": 0.1, "validation/loss": 1.0}}), BestCheckpoint(Saves(), "bbox/AP05")]  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError,
        match=r"^BestCheckpoint\.METRIC: the evaluation has no 'bbox/AP05'\. Did you mean 'bbox/AP50'\? "
        r"It has: bbox/AP50, validation/loss\.$",
    ):
        line_trainer(hooks=hooks).train()


def test_an_unknown_metric_does_not_lose_a_training_that_is_done(
    line_trainer: BuildTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    saves = Saves()
    hooks = [
        Recorded({3: {"bbox/AP50": 0.1}}),
        BestCheckpoint(saves, "bbox/AP05"),  # type: ignore[arg-type]
        PeriodicCheckpoint(saves),  # type: ignore[arg-type]
    ]
    line_trainer(hooks=hooks).train()
    assert saves.made[-1] == ("model_final.pth", 3)
    assert "the evaluation has no 'bbox/AP05'" in caplog.text


@pytest.mark.parametrize(("period", "made"), [("1ep", [2, 4]), (3, [3]), ("2it", [2, 4]), (0, [])])
def test_checkpoints_are_made_every_period_and_at_the_end(
    line_trainer: BuildTrainer, period: str | int, made: list[int]
) -> None:
    saves = Saves()
    line_trainer(hooks=[PeriodicCheckpoint(saves, period, keep=7)], num_iterations=5).train()  # type: ignore[arg-type]
    assert saves.made == [*(("keep 7", iteration) for iteration in made), ("model_final.pth", 5)]


class Crash(Hook):
    """Fails after a step."""

    def __init__(self, iteration: int, error: type[BaseException] = ZeroDivisionError) -> None:
        self.iteration, self.error = iteration, error

    def after_step(self, trainer: Trainer) -> None:
        if trainer.iteration == self.iteration:
            raise self.error


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize(("iteration", "hint"), [(2, "--resume goes on from it"), (3, "--eval-only evaluates it")])
def test_a_training_that_is_broken_off_saves_its_last_step_and_says_how_to_go_on(
    line_trainer: BuildTrainer, caplog: pytest.LogCaptureFixture, error: type[BaseException], iteration: int, hint: str
) -> None:
    saves = Saves()
    with pytest.raises(error):
        line_trainer(hooks=[Crash(iteration, error), PeriodicCheckpoint(saves, 0)]).train()  # type: ignore[arg-type]
    assert saves.made == [("broken off", iteration)]
    assert f"broken off after iteration {iteration}; saved in model.pth" in caplog.text
    assert hint in caplog.text


def test_what_is_saved_already_is_not_saved_again(line_trainer: BuildTrainer) -> None:
    saves = Saves()
    with pytest.raises(ZeroDivisionError):
        line_trainer(hooks=[PeriodicCheckpoint(saves, 2), Crash(2)]).train()  # type: ignore[arg-type]
    assert saves.made == [("keep 2", 2)]


def test_a_loss_that_is_no_number_saves_nothing(line_trainer: BuildTrainer) -> None:
    saves = Saves()
    hooks = [NonFiniteLoss(), PeriodicCheckpoint(saves, 0)]  # type: ignore[arg-type]
    with pytest.raises(TrainingError):
        line_trainer([1.0], [math.inf], hooks=hooks).train()
    assert saves.made == []


def _checkpointer(folder: Path) -> Checkpointer:
    return Checkpointer(RunFolder(folder), "", DatasetInfo("cells", ("red",)))


@pytest.mark.parametrize("spoil", ["weight", "momentum", "halfway"])
def test_a_state_that_is_not_finite_or_half_updated_is_not_saved(
    line_trainer: BuildTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: str
) -> None:
    class Spoil(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if spoil == "weight":
                _spoil_weights(trainer)
            elif spoil == "momentum":
                trainer.optimizer.state[trainer.model.weight]["momentum_buffer"] = torch.tensor(math.inf)
            trainer.is_updating = spoil == "halfway"

    with pytest.raises(ZeroDivisionError):
        line_trainer(hooks=[Spoil(), Crash(1), PeriodicCheckpoint(_checkpointer(tmp_path), 0)]).train()
    assert list(tmp_path.rglob("*.pth")) == []
    assert "the state after iteration 1 is not saved" in caplog.text


def test_a_state_that_cannot_be_written_does_not_hide_why_the_training_ended(
    line_trainer: BuildTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "checkpoints").write_text("no folder")
    with pytest.raises(ZeroDivisionError):
        line_trainer(hooks=[Crash(1), PeriodicCheckpoint(_checkpointer(tmp_path), 0)]).train()
    assert "the state after iteration 1 could not be saved: " in caplog.text


def test_numbers_of_hooks_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="keep expects at least 1, got 0"):
        PeriodicCheckpoint(Saves(), keep=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="period expects at least 1, got 0"):
        MetricWriters([], 0)


def test_writers_get_the_mean_over_the_period_and_what_is_left_at_the_end(line_trainer: BuildTrainer) -> None:
    lines = Lines()
    line_trainer([1.0], hooks=[MetricWriters([lines], period=2)], num_iterations=3).train()
    # weights 0.5, 0.6, 0.68 (w + 0.2 (1 - w)): losses 0.25, 0.16, 0.1024
    assert [iteration for iteration, _ in lines.lines] == [2, 3]
    assert [numbers["loss"] for _, numbers in lines.lines] == pytest.approx([0.205, 0.1024])
    assert lines.lines[0][1].keys() == {"loss", "loss_x", "num_positives", "data_time", "time"}
    assert lines.calls == ["open", "close"]


def test_an_evaluation_is_written_at_once_after_the_steps_before_it(line_trainer: BuildTrainer) -> None:
    lines = Lines()
    hooks = [Recorded({1: {"bbox/AP": 0.5}}), MetricWriters([lines], period=2)]
    line_trainer([1.0], hooks=hooks, num_iterations=3).train()
    assert [iteration for iteration, _ in lines.lines] == [1, 1, 2, 3]
    assert lines.lines[1] == (1, {"bbox/AP": 0.5})
    assert lines.lines[2][1]["loss"] == pytest.approx(0.16)  # of the second step alone


def test_writers_are_closed_after_a_crash(line_trainer: BuildTrainer) -> None:
    lines = Lines()
    with pytest.raises(TrainingError):
        line_trainer([math.inf], hooks=[NonFiniteLoss(), MetricWriters([lines], 1)]).train()
    assert lines.calls == ["open", "close"]
    assert lines.lines == []


def test_a_loss_that_is_no_number_names_losses_rate_cause_and_images(line_trainer: BuildTrainer) -> None:
    with pytest.raises(TrainingError) as caught:
        line_trainer([math.inf, 2.0], hooks=[NonFiniteLoss()]).train()
    assert str(caught.value) == (
        "iteration 1: the loss is not finite (loss inf, loss_x inf) at learning rate 0.1. "
        "This early, the learning rate is probably too high: lower SOLVER.BASE_LR or lengthen SOLVER.WARMUP.LENGTH. "
        "The weights are those before this step. Images: inf.png, 2.png"
    )


def _spoil_weights(trainer: Trainer) -> None:
    trainer.model.weight.data.fill_(math.nan)  # type: ignore[union-attr]


def _spoil_box(trainer: Trainer) -> None:
    flat = Annotations(
        torch.tensor([[3.0, 3.0, 3.0, 9.0]]), torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.bool)
    )
    trainer.batches[0].targets[0] = flat  # type: ignore[index]


def _late(trainer: Trainer) -> None:
    trainer.iteration, trainer.num_iterations = 10, 20


@pytest.mark.parametrize(
    ("prepare", "amp", "cause"),
    [
        (_spoil_weights, "none", "Some weights are not finite either"),
        (_spoil_box, "none", "A ground-truth box of these images has no area"),
        (_late, "fp16", "In fp16, numbers over 65504 overflow"),
        (_late, "none", "The learning rate is probably too high; SOLVER.CLIP_GRADIENT_NORM"),
    ],
)
def test_the_likely_cause_of_a_loss_that_is_no_number(
    line_trainer: BuildTrainer, prepare: Callable[[Trainer], None], amp: str, cause: str
) -> None:
    trainer = line_trainer([math.nan], hooks=[NonFiniteLoss()], amp=amp)
    prepare(trainer)
    with pytest.raises(TrainingError, match=cause):
        trainer.train()


def test_parameters_without_a_gradient_are_named_once(line_trainer: BuildTrainer, caplog: pytest.LogCaptureFixture) -> None:
    trainer = line_trainer(hooks=[ParametersWithoutGradient()])
    trainer.model.unused = nn.Linear(1, 1)
    trainer.model.frozen = nn.Linear(1, 1).requires_grad_(False)
    with caplog.at_level(logging.WARNING):
        trainer.train()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["2 parameters got no gradient in the first step: unused.weight, unused.bias"]


def test_numbers_of_any_kind_are_averaged_together(line_trainer: BuildTrainer) -> None:
    class Numbers(Hook):
        def after_step(self, trainer: Trainer) -> None:
            i = trainer.iteration
            trainer.latest_metrics = {"integer": torch.tensor(2**24 + i), "python": 0.5 * i, "bf16": torch.tensor(i).bfloat16()}
            trainer.latest_metrics |= {"time": 1.0, "data_time": 0.0}
            if i == 2:
                trainer.latest_metrics["rare"] = torch.tensor(0.1)

    lines = Lines()
    line_trainer([1.0], hooks=[Numbers(), MetricWriters([lines], 3)], num_iterations=3).train()
    ((_, numbers),) = lines.lines
    assert numbers == {
        "integer": 2**24 + 2,
        "python": 1.0,
        "bf16": 2.0,
        "rare": torch.tensor(0.1).item(),
        "time": 1.0,
        "data_time": 0.0,
    }


@pytest.mark.parametrize(
    ("hook", "due"),
    [
        (Hook(), []),
        (NonFiniteLoss(), []),
        (MetricWriters([], 4), [4, 7]),
        (PeriodicCheckpoint(Saves(), "3it"), [3, 6]),  # type: ignore[arg-type]
        (PeriodicCheckpoint(Saves(), 0), []),  # type: ignore[arg-type]
        (Evaluation([], Duration.parse("2it"), RunFolder(Path())), [2, 4, 6, 7]),
        (Evaluation([], Duration.parse(0), RunFolder(Path())), [7]),
        (FocalMicroscope(DatasetInfo("cells", ("red",)), 5), [1, 5]),
    ],
)
def test_when_hooks_are_due(line_trainer: BuildTrainer, hook: Hook, due: list[int]) -> None:
    trainer, found = line_trainer(num_iterations=7), []
    for trainer.iteration in range(1, 8):
        found += [trainer.iteration] if hook.is_due(trainer) else []
    assert found == due
