from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dettoolkit.engine.hooks import (
    BestCheckpoint,
    Evaluation,
    Hook,
)
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.structures import Duration

BuildTrainer = Callable[..., Trainer]


class Saves:
    """In place of a Checkpointer: what was saved when."""

    def __init__(self) -> None:
        self.made: list[tuple[str, int]] = []

    def save_model(self, trainer: Trainer, name: str) -> None:
        self.made.append((name, trainer.iteration))

    def save_training(self, trainer: Trainer, name: str | None = None, keep: int | None = None) -> None:
        self.made.append((name or f"keep {keep}", trainer.iteration))


class FakeEvaluation:
    """In place of a DatasetEvaluation: counts its runs and finds as many detections right."""

    name = "some"
    evaluators: tuple[Any, ...] = ()

    def __init__(self) -> None:
        self.runs = self.closed = 0

    def close(self) -> None:
        self.closed += 1

    def run(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        self.runs += 1
        return {"bbox/AP": float(self.runs)}


@pytest.mark.parametrize(
    ("period", "runs", "iterations"), [("0", 1, [5]), ("1ep", 3, [2, 4, 5]), ("5it", 1, [5]), ("2it", 3, [2, 4, 5])]
)
def test_evaluation_happens_every_period_and_once_at_the_end(
    line_trainer: BuildTrainer, tmp_path: Path, period: str, runs: int, iterations: list[int]
) -> None:
    seen = []

    class Watch(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.recorded:
                seen.append(trainer.iteration)

    evaluation = FakeEvaluation()
    hook = Evaluation([evaluation], Duration.parse(period), RunFolder(tmp_path))  # type: ignore[list-item]
    trainer = line_trainer(hooks=[hook, Watch()], num_iterations=5)
    trainer.train()
    assert evaluation.runs == runs
    assert evaluation.closed == 1
    assert seen == iterations
    assert trainer.latest_evaluation == {"bbox/AP": float(runs)}


def test_nothing_to_evaluate_on_is_said_and_harms_nothing(
    line_trainer: BuildTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saves = Saves()
    hook = Evaluation([], Duration.parse("1ep"), RunFolder(tmp_path))
    trainer = line_trainer(hooks=[hook, BestCheckpoint(saves)])  # type: ignore[arg-type]
    trainer.train()
    assert "DATASETS.TEST is empty: nothing will be evaluated, and there will be no best checkpoint" in caplog.text
    assert trainer.latest_evaluation == {}
    assert saves.made == []
