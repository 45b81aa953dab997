"""When a training ends early, when not, and what it says."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from fvcore.common.config import CfgNode

from dettoolkit.engine import train
from dettoolkit.engine.hooks import EarlyStopping, Hook
from dettoolkit.engine.hooks.watched_number import WatchedNumber
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import ConfigError
from dettoolkit.structures import Duration

BuildTrainer = Callable[..., Trainer]
SmallConfig = Callable[..., CfgNode]


class Evaluations(Hook):
    """Leaves one value after the other, one a step."""

    def __init__(self, values: Sequence[float], name: str = "bbox/AP") -> None:
        self.values, self.name_of_value = values, name

    def after_step(self, trainer: Trainer) -> None:
        trainer.recorded |= {self.name_of_value: self.values[trainer.iteration - 1]}


def _stopping(folder: Path, period: str = "1it", evaluations: Sequence[Any] = ("one",), **options: Any) -> EarlyStopping:
    return EarlyStopping(evaluations, Duration.parse(period), RunFolder(folder), **options)


@pytest.mark.parametrize(
    ("values", "options", "ended"),
    [
        ([0.1, 0.2, 0.3, 0.3, 0.3, 0.9], {"patience": 2}, 5),
        ([0.1, 0.2, 0.3, 0.3, 0.4, 0.3, 0.3], {"patience": 2}, 7),  # a better one in time
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], {"patience": 1}, 6),
        ([0.5, 0.55, 0.59, 0.9], {"patience": 2, "min_delta": 0.1}, 3),  # never more than 0.1 above 0.5
        ([0.5, 0.55, 0.61, 0.6, 0.6, 0.6], {"patience": 2, "min_delta": 0.1}, 5),  # in two small steps, 0.11 above 0.5
        ([3.0, 2.0, 2.5, 2.5, 0.1], {"patience": 2, "mode": "min"}, 4),
        ([0.1, math.nan, math.nan, 0.9], {"patience": 2}, 3),
        ([math.nan, 0.1, 0.2, 0.3], {"patience": 2}, 4),  # what is no number is beaten by any
        ([0.3, 0.2, 0.1], {"patience": 2}, 3),
    ],
)
def test_it_ends_after_so_many_evaluations_without_a_better_one(
    line_trainer: BuildTrainer, tmp_path: Path, values: list[float], options: dict[str, Any], ended: int
) -> None:
    trainer = line_trainer(hooks=[Evaluations(values), _stopping(tmp_path, **options)], num_iterations=len(values))
    trainer.train()
    assert trainer.iteration == ended


def test_the_reason_has_the_best_and_its_file(line_trainer: BuildTrainer, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "model_best.pth").touch()
    # 0.3009 is the best, and yet not better than 0.3 by more than 0.001
    hooks = [Evaluations([0.3, 0.3009, 0.2, 0.9]), _stopping(tmp_path, patience=2)]
    trainer = line_trainer(hooks=hooks, num_iterations=4)
    trainer.train()
    assert trainer.stop_reason == (
        "bbox/AP got better by more than 0.001 in none of 2 evaluations; the best was 0.3009 at iteration 2 "
        f"(BestCheckpoint's is {tmp_path / 'checkpoints' / 'model_best.pth'})"
    )


def test_of_several_data_sets_the_first_counts(line_trainer: BuildTrainer, tmp_path: Path) -> None:
    hooks = [Evaluations([0.3, 0.2, 0.1], "first/bbox/AP"), _stopping(tmp_path, patience=1)]
    trainer = line_trainer(hooks=hooks)
    trainer.train()
    assert trainer.iteration == 2
    assert "first/bbox/AP" in str(trainer.stop_reason)


def test_a_number_that_the_first_evaluation_lacks_ends_the_training_with_its_names(
    line_trainer: BuildTrainer, tmp_path: Path
) -> None:
    trainer = line_trainer(hooks=[Evaluations([0.3, 0.2, 0.1]), _stopping(tmp_path, metric="bbox/PA")])
    with pytest.raises(
        ConfigError,
        match=r"^EarlyStopping\.METRIC: the evaluation has no 'bbox/PA'\. Did you mean 'bbox/AP'\? It has: bbox/AP\.$",
    ):
        trainer.train()
    assert trainer.iteration == 1


def test_waiting_goes_on_where_it_was(line_trainer: BuildTrainer, tmp_path: Path) -> None:
    first, second = _stopping(tmp_path, patience=3), _stopping(tmp_path, patience=3)
    line_trainer(hooks=[Evaluations([0.3, 0.2]), first], num_iterations=2).train()
    assert first.state_dict() == {"reference": 0.3, "best": 0.3, "best_iteration": 1, "num_waited": 1}
    second.load_state_dict(first.state_dict())
    trainer = line_trainer(hooks=[Evaluations([0.2, 0.25, 0.9]), second])
    trainer.train()
    assert trainer.iteration == 2
    assert "in none of 3 evaluations; the best was 0.3000 at iteration 1" in str(trainer.stop_reason)


@pytest.mark.parametrize(
    ("period", "evaluations", "patience", "before_the_end"),
    [("0it", ["one"], 1, 0), ("1it", [], 1, 0), ("1it", ["one"], 2, 2), ("1ep", ["one"], 1, 1)],
)
def test_too_few_evaluations_to_end_early_are_warned_of(
    line_trainer: BuildTrainer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    period: str,
    evaluations: list[str],
    patience: int,
    before_the_end: int,
) -> None:
    """Of three steps, two to an epoch."""
    line_trainer(hooks=[_stopping(tmp_path, period, evaluations, patience=patience)]).train()
    assert f"{before_the_end} evaluations come before the end; with a PATIENCE of {patience} the training" in caplog.text


def test_enough_evaluations_are_not_warned_of(
    line_trainer: BuildTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        line_trainer(hooks=[_stopping(tmp_path, patience=1)]).train()
    assert caplog.text == ""


@pytest.mark.parametrize("numbers", [{"patience": 0}, {"min_delta": -0.1}, {"min_delta": math.nan}])
def test_numbers_out_of_range_are_refused(tmp_path: Path, numbers: dict[str, Any]) -> None:
    (name,) = numbers
    with pytest.raises(ValueError, match=f"^{name} expects"):
        _stopping(tmp_path, **numbers)


@pytest.mark.parametrize(
    ("mode", "value", "than", "by", "expected"),
    [
        ("max", 0.5, None, 0.1, True),
        ("max", 0.5, 0.4, 0.0, True),
        ("max", 0.5, 0.5, 0.0, False),
        ("max", 0.5, 0.25, 0.25, False),  # by more than
        ("min", 0.5, 0.4, 0.0, False),
        ("min", 0.25, 1.0, 0.5, True),
        ("max", math.nan, None, 0.0, False),
        ("min", math.nan, 0.5, 0.0, False),
        ("min", math.inf, None, 0.0, True),
    ],
)
def test_better_is_what_the_mode_says(mode: Any, value: float, than: float | None, by: float, expected: bool) -> None:
    assert WatchedNumber("Any", "bbox/AP", mode).is_better(value, than, by) is expected


def test_a_run_that_ends_early_leaves_all_that_another_leaves_and_says_why_last(small_config: SmallConfig) -> None:
    hook = "{NAME: EarlyStopping, METRIC: validation/loss, MIN_DELTA: 1000, PATIENCE: 1}"
    cfg = small_config("SOLVER.LENGTH", 20, "EVALUATION.PERIOD", "1it", "HOOKS.2", "{NAME: Evaluation}", "HOOKS.3", hook)
    train(cfg)
    folder = Path(cfg.OUTPUT_DIR)
    assert (folder / "checkpoints" / "model_final.pth").is_file()
    assert (folder / "report" / "index.html").is_file()
    last = (folder / "log.txt").read_text().splitlines()[-1]
    assert re.search(r"it ended after 2 of 20 iterations: validation/loss got better by more than 1000 in none of 1 ev", last)
