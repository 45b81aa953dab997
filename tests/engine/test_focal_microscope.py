"""The hook that looks into the classification loss."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode
from torch import Tensor, nn

from dettoolkit.engine.hooks import FocalMicroscope, Hook
from dettoolkit.engine.run import train
from dettoolkit.engine.trainer import Trainer
from dettoolkit.errors import ConfigError
from dettoolkit.modeling.losses import FocalLoss
from dettoolkit.structures import DatasetInfo, LossOutput

SmallConfig = Callable[..., CfgNode]
BuildTrainer = Callable[..., Trainer]
INFO = DatasetInfo("mine", ("cat", "dog"))


class Criterion:
    """Shows its observers what a test put there."""

    def __init__(self, loss: Any) -> None:
        self.classification_loss = loss
        self.observers: list[Any] = []
        self.miner = type("All", (), {"takes_all": True})
        self.training = True
        self.calls: list[int] = []


class Model(nn.Module):
    """A model whose logits are its weight at background and ``positive`` at objects, 400 anchors of two classes."""

    def __init__(self, loss: Any = None, positive: float = 1.0, negative: float = -6.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(negative))
        self.positive = positive
        object.__setattr__(self, "criterion", Criterion(loss or FocalLoss()))
        self.head = type("Head", (), {"prior_probability": 0.01})

    def forward(self, images: Tensor, image_sizes: Any, targets: Any) -> LossOutput:
        logits = self.weight + torch.zeros(1, 400, 2)
        labels = torch.full((1, 400), -1)
        labels[0, :40] = 0
        logits[0, :40, 0] = self.positive
        loss = self.criterion.classification_loss(logits, labels)
        self.criterion.calls.append(len(self.criterion.observers))
        with torch.no_grad():
            for observer in self.criterion.observers:
                observer([logits.detach()], [labels], [loss.detach()])
        return LossOutput({"loss_cls": 0 * loss}, {})


class Keep(Hook):
    """Keeps the numbers of each step."""

    def __init__(self) -> None:
        self.numbers: list[dict[str, float]] = []

    def after_step(self, trainer: Trainer) -> None:
        self.numbers.append({name: float(value) for name, value in trainer.latest_metrics.items() if name.startswith("focal")})


def test_only_the_first_step_and_every_period_is_looked_at(line_trainer: BuildTrainer) -> None:
    model, keep = Model(), Keep()
    trainer = line_trainer(model=model, hooks=[FocalMicroscope(INFO, period=3), keep], num_iterations=7)
    trainer.train()
    assert model.criterion.calls == [1, 0, 1, 0, 0, 1, 0]
    assert [bool(numbers) for numbers in keep.numbers] == [
        False,
        False,
        True,
        False,
        False,
        True,
        False,
    ]  # the first one is only judged


def test_a_training_that_goes_on_has_no_first_step(line_trainer: BuildTrainer) -> None:
    model = Model()
    trainer = line_trainer(model=model, hooks=[FocalMicroscope(INFO, period=3)], num_iterations=6)
    trainer.iteration = 3
    trainer.train()
    assert model.criterion.calls == [0, 0, 1]


def test_the_numbers_have_the_names_of_levels_and_classes_and_are_right(line_trainer: BuildTrainer) -> None:
    keep = Keep()
    line_trainer(model=Model(), hooks=[FocalMicroscope(INFO, 1), keep], num_iterations=1).train()
    # 40 positives of p_t = sigmoid(1), 760 negatives of p = sigmoid(-6)
    p, q = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(6))
    own, other = 40 * 0.25 * (1 - p) ** 2 * -math.log(p), 0.75 * q * q * -math.log(1 - q)
    wanted = {
        "focal/positives": 40,
        "focal/positives-cat": 40,
        "focal/positives-dog": 0,
        "focal/p_t": p,
        "focal/level0/positive_share": own / (own + 760 * other),
        "focal/positive_share-dog": 0,
        "focal/effective_negatives": 760,
        "focal/effective_negatives-cat": 360,
        "focal/level0/share": 1,
        "focal/share-dog": 400 * other / (own + 760 * other),
        "focal/hardest_share": 4 / 40 * own / (own + 760 * other),  # 1 % of 400 anchors are 4, all of them positives
    }
    found = {name: keep.numbers[0][name] for name in wanted}
    assert found == pytest.approx(wanted, rel=0.1)  # all logits of a side are in one bin: each loss may be 3/64 off
    assert "focal/p_t-dog" not in keep.numbers[0]  # no positives


def test_parts_of_a_batch_are_one_look(line_trainer: BuildTrainer) -> None:
    keep = Keep()
    line_trainer(model=Model(), hooks=[FocalMicroscope(INFO, 1), keep], num_iterations=1, accumulate=3).train()
    assert keep.numbers[0]["focal/positives"] == 120


def test_an_evaluation_in_the_same_step_is_not_looked_at(line_trainer: BuildTrainer) -> None:
    class Evaluates(Hook):
        def after_step(self, trainer: Trainer) -> None:
            trainer.model.criterion.training = False  # type: ignore[union-attr]
            trainer.model(None, None, None)
            trainer.model.criterion.training = True  # type: ignore[union-attr]

    keep = Keep()
    line_trainer(model=Model(), hooks=[Evaluates(), FocalMicroscope(INFO, 1), keep], num_iterations=1).train()
    assert keep.numbers[0]["focal/positives"] == 40


def test_a_step_that_is_not_finite_is_forgotten(line_trainer: BuildTrainer) -> None:
    class Spoil(Hook):
        def before_step(self, trainer: Trainer) -> None:
            trainer.model.positive = float("nan") if trainer.iteration == 0 else 1.0  # type: ignore[assignment]

    keep = Keep()
    model = Model()
    line_trainer(model=model, hooks=[Spoil(), FocalMicroscope(INFO, 2), keep], num_iterations=2).train()
    assert keep.numbers[0] == {}
    assert keep.numbers[1]["focal/positives"] == 40
    assert model.criterion.observers == []


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_what_looks_wrong_is_said_once_until_it_changes(line_trainer: BuildTrainer, caplog: pytest.LogCaptureFixture) -> None:
    class Moves(Hook):
        """Background is silent, then as loud as in balance, then silent again."""

        def before_step(self, trainer: Trainer) -> None:
            trainer.model.weight.data.fill_(-1.0 if 108 <= trainer.iteration < 114 else -8.0)  # type: ignore[union-attr]

    model = Model(FocalLoss(0.25, 4.0), positive=-0.5)
    line_trainer(model=model, hooks=[Moves(), FocalMicroscope(INFO, 1)], num_iterations=120).train()
    silent = [words for words in _warnings(caplog) if "background is hardly learnt from" in words]
    # not in the first 100 steps, then again once the steps that were in balance are out of the last three
    assert [words.split(":")[0] for words in silent] == ["focal microscope, iteration 100", "focal microscope, iteration 117"]
    assert silent[0].endswith("Lower MODEL.LOSSES.CLASSIFICATION.GAMMA (4).")


def test_the_first_step_is_judged_by_the_prior(line_trainer: BuildTrainer, caplog: pytest.LogCaptureFixture) -> None:
    line_trainer(model=Model(FocalLoss(0.999), -4.6, -4.6), hooks=[FocalMicroscope(INFO, 100)], num_iterations=5).train()
    (words,) = _warnings(caplog)
    assert words.startswith("focal microscope, iteration 1: With MODEL.LOSSES.CLASSIFICATION as it is")
    assert words.endswith("Lower MODEL.LOSSES.CLASSIFICATION.ALPHA (0.999).")


def test_nothing_is_judged_behind_a_miner(line_trainer: BuildTrainer, caplog: pytest.LogCaptureFixture) -> None:
    model = Model(FocalLoss(0.999), -4.6, -4.6)
    model.criterion.miner = object()
    line_trainer(model=model, hooks=[FocalMicroscope(INFO, 1)], num_iterations=105).train()
    assert _warnings(caplog) == []


def test_what_it_cannot_look_at_is_refused_before_the_first_step(line_trainer: BuildTrainer) -> None:
    with pytest.raises(ConfigError, match=r"whose criterion has observers, Line has none$"):
        line_trainer(hooks=[FocalMicroscope(INFO)]).train()
    with pytest.raises(ValueError, match="period expects at least 1, got 0"):
        FocalMicroscope(INFO, period=0)


HOOKS = """[{NAME: LearningRate}, {NAME: Evaluation}, {NAME: FocalMicroscope, PERIOD: 2},
 {NAME: MetricWriters, PERIOD: 2, WRITERS: [{NAME: ConsoleWriter}, {NAME: JSONLinesWriter}]}, {NAME: Report}]"""


def test_a_run_writes_the_numbers_and_shows_them(
    small_config: SmallConfig, tmp_path: Path, rows: Callable[[Path], list[dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    train(small_config("HOOKS", HOOKS, "SOLVER.LENGTH", "4it"))
    first, second = (row for row in rows(tmp_path / "run") if "focal/positive_share" in row)
    assert (first["iteration"], second["iteration"]) == (2, 4)
    levels = {name.split("/")[1] for name in second if name.count("/") == 2 and name.startswith("focal/")}
    assert levels == {"P3", "P4", "P5"}
    assert sum(second[f"focal/{level}/positives"] for level in levels) == second["focal/positives"]
    assert sum(second[f"focal/{level}/share"] for level in levels) == pytest.approx(1, abs=1e-4)
    classes = [name for name in second if name.startswith("focal/share-")]
    assert len(classes) == 6
    assert sum(second[name] for name in classes) == pytest.approx(1, abs=1e-4)
    json.dumps(second, allow_nan=False)
    assert "focal" not in capsys.readouterr().err.replace("focal microscope", "")  # no line of the console has the numbers
    assert "What the focal microscope saw during training" in (tmp_path / "run/report/index.html").read_text()


def test_a_run_is_warned_of_its_alpha_and_one_with_the_papers_is_not(small_config: SmallConfig, tmp_path: Path) -> None:
    for alpha, warned in ((0.25, False), (0.999, True)):
        folder = tmp_path / f"run{alpha}"
        loss = f"{{NAME: FocalLoss, ALPHA: {alpha}}}"
        train(small_config("HOOKS", HOOKS, "MODEL.LOSSES.CLASSIFICATION", loss, "OUTPUT_DIR", folder))
        assert ("Lower MODEL.LOSSES.CLASSIFICATION.ALPHA (0.999)" in (folder / "log.txt").read_text()) is warned
        assert ("focal microscope" in (folder / "log.txt").read_text()) is warned


def test_looking_changes_no_number_of_the_training(
    small_config: SmallConfig, tmp_path: Path, losses: Callable[[Path], list[float]]
) -> None:
    found = []
    for hooks in (HOOKS, HOOKS.replace("{NAME: FocalMicroscope, PERIOD: 2},", "")):
        folder = tmp_path / f"run{len(found)}"
        train(small_config("HOOKS", hooks, "SOLVER.LENGTH", "4it", "OUTPUT_DIR", folder))
        found.append(losses(folder))
    assert found[0] == found[1]
    assert len(found[0]) == 2
