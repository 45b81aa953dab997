from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from dettoolkit.engine.trainer import Trainer
from dettoolkit.engine.writers import ConsoleWriter, JSONLinesWriter, TensorBoardWriter

BuildTrainer = Callable[..., Trainer]


@pytest.fixture
def trainer(line_trainer: BuildTrainer) -> Trainer:
    """After step 4 of 10, two steps an epoch."""
    trainer = line_trainer(num_iterations=10)
    trainer.iteration = 4
    return trainer


def test_a_line_is_a_json_object_with_iteration_and_epoch(tmp_path: Path, trainer: Trainer) -> None:
    writer = JSONLinesWriter(str(tmp_path))
    writer.open(trainer)
    writer.write(trainer, {"loss": 0.25, "bbox/AP": math.nan})
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text.count("\n") == 1
    assert json.loads(text) == {"iteration": 4, "epoch": 2.0, "loss": 0.25, "bbox/AP": None}


def test_lines_of_steps_that_are_done_again_are_dropped_and_so_is_half_a_line(tmp_path: Path, trainer: Trainer) -> None:
    kept = ['{"iteration": 3, "loss": 1.0}', '{"iteration": 4, "loss": 0.5}']
    (tmp_path / "metrics.jsonl").write_text("\n".join([*kept, '{"iteration": 5, "loss": 0.4}', '{"iterat']))
    JSONLinesWriter(str(tmp_path)).open(trainer)
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == kept


def test_a_new_run_does_not_go_on_with_the_lines_of_one_that_left_no_checkpoint(tmp_path: Path, trainer: Trainer) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"iteration": 3, "loss": 1.0}\n')
    trainer.iteration = 0
    JSONLinesWriter(str(tmp_path)).open(trainer)
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_the_console_shows_progress_losses_rate_speed_and_what_is_left(
    trainer: Trainer, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = {"loss": 1.25, "loss_cls": 1.0, "num_positives": 7.0, "lr": 0.01, "time": 30.0, "data_time": 3.0}
    with caplog.at_level(logging.INFO):
        ConsoleWriter().write(trainer, numbers)
    # six steps of 30 s are left
    assert caplog.messages == [
        "4/10 (epoch 2.00)  loss 1.2500  loss_cls 1.0000  lr 0.01  30.000 s/it, 10% waiting for data  0:03:00 left"
    ]


def test_the_console_leaves_evaluations_to_their_table(trainer: Trainer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        ConsoleWriter().write(trainer, {"bbox/AP": 0.5})
    assert caplog.messages == []


def test_one_slow_step_hardly_changes_the_time_that_is_left(trainer: Trainer, caplog: pytest.LogCaptureFixture) -> None:
    writer = ConsoleWriter()
    with caplog.at_level(logging.INFO):
        for seconds in (10.0, 60.0):
            writer.write(trainer, {"time": seconds, "data_time": 0.0})
    assert caplog.messages[1].endswith("0:02:00 left")  # 0.8 * 10 + 0.2 * 60 = 20 s, six times


def test_a_resumed_run_says_where_it_goes_on(trainer: Trainer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        ConsoleWriter().open(trainer)
    assert caplog.messages == ["resuming at iteration 4 of 10"]


def _points(folder: Path, name: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_has_each_step_once_after_a_resume(tmp_path: Path, trainer: Trainer) -> None:
    import time

    first = TensorBoardWriter(str(tmp_path))
    trainer.iteration = 0
    first.open(trainer)
    for trainer.iteration in (3, 4, 5):
        first.write(trainer, {"loss": 1.0, "bbox/AP": 0.5})
    first.close()
    time.sleep(1.1)  # files are named by the second, and read in the order of their names
    second = TensorBoardWriter(str(tmp_path))
    trainer.iteration = 4
    second.open(trainer)
    for trainer.iteration in (5, 6):
        second.write(trainer, {"loss": 2.0})
    second.close()
    assert _points(tmp_path, "train/loss") == [(3, 1.0), (4, 1.0), (5, 2.0), (6, 2.0)]
    assert _points(tmp_path, "bbox/AP") == [(3, 0.5), (4, 0.5)]
