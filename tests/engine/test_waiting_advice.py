from __future__ import annotations

import logging
import os
from types import SimpleNamespace

import pytest

from dettoolkit.engine.hooks import Hook, MetricWriters
from dettoolkit.engine.trainer import Trainer
from dettoolkit.engine.waiting_advice import WaitingAdvice


@pytest.fixture
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)


def _loader(workers: int) -> SimpleNamespace:
    return SimpleNamespace(workers=SimpleNamespace(count=workers))


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {record.levelno for record in caplog.records} <= {logging.WARNING}
    return [record.getMessage() for record in caplog.records]


@pytest.mark.usefixtures("_eight_cores")
@pytest.mark.parametrize(
    ("workers", "processes", "advice"),
    [
        (
            2,
            "1",
            "DATALOADER.NUM_WORKERS is 2, and this machine has 8 cores: raise it, or use smaller images or a faster disk.",
        ),
        (
            8,
            "1",
            "DATALOADER.NUM_WORKERS is 8, as much as this machine's 8 cores can do: smaller images "
            "or a faster disk would help.",
        ),
        (
            2,
            "2",
            "DATALOADER.NUM_WORKERS is 2 for each of 2 processes, and this machine has 8 cores: raise it, or use smaller "
            "images or a faster disk.",
        ),
        (
            4,
            "2",
            "DATALOADER.NUM_WORKERS is 4 for each of 2 processes, as much as this machine's 8 cores can do: smaller images "
            "or a faster disk would help.",
        ),
    ],
)
def test_the_advice_depends_on_what_there_is(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, workers: int, processes: str, advice: str
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    waiting = WaitingAdvice()
    for _ in range(2):
        waiting.after_period(0.5, 0.225, _loader(workers))
    assert _said(caplog) == [f"the training waits for data 45 % of the time: {advice}"]


def test_a_loader_without_workers_gets_advice_too(caplog: pytest.LogCaptureFixture) -> None:
    waiting = WaitingAdvice()
    for _ in range(2):
        waiting.after_period(1.0, 0.5, [])
    assert _said(caplog) == [
        "the training waits for data 50 % of the time: more workers for its loader, smaller images or a faster disk would help."
    ]


def test_it_is_said_once_and_not_of_the_first_period_or_a_fifth(caplog: pytest.LogCaptureFixture) -> None:
    waiting, said = WaitingAdvice(), []
    for seconds_waited in (0.9, 0.2, 0.21, 0.9):
        waiting.after_period(1.0, seconds_waited, _loader(1))
        said.append(len(_said(caplog)))
    assert said == [0, 0, 1, 1]


class Lines:
    def open(self, trainer: Trainer) -> None: ...

    def write(self, trainer: Trainer, numbers: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class Waits(Hook):
    """Makes the steps of the given iterations wait half of their time."""

    def __init__(self, *iterations: int) -> None:
        self.iterations = iterations

    def after_step(self, trainer: Trainer) -> None:
        trainer.latest_metrics |= {"time": 1.0, "data_time": 0.5 if trainer.iteration in self.iterations else 0.0}


@pytest.mark.parametrize(("iterations", "said"), [((1, 2), 0), ((3,), 1), ((3, 4, 5, 6), 1), ((7,), 0)])
def test_whole_logging_periods_are_looked_at(
    line_trainer: type[Trainer], caplog: pytest.LogCaptureFixture, iterations: tuple[int, ...], said: int
) -> None:
    # periods of two steps; the seventh step alone is no period
    trainer = line_trainer([1.0], hooks=[Waits(*iterations), MetricWriters([Lines()], 2)], num_iterations=7)  # type: ignore[call-arg]
    trainer.train()
    assert len(_said(caplog)) == said


def test_each_training_has_its_own_first_period(line_trainer: type[Trainer], caplog: pytest.LogCaptureFixture) -> None:
    hook = MetricWriters([Lines()], 1)
    for _ in range(2):
        line_trainer([1.0], hooks=[Waits(1, 2), hook], num_iterations=2).train()  # type: ignore[call-arg]
    assert len(_said(caplog)) == 2
