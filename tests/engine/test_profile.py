"""Profiles of small trainings: the parts add up, the training is the same, and what is missing is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fvcore.common.config import CfgNode

from dettoolkit.engine import train
from dettoolkit.engine.hooks import Hook, Profile
from dettoolkit.engine.hooks.profile import table
from dettoolkit.engine.trainer import Trainer
from dettoolkit.structures import Batch

REPOSITORY = Path(__file__).parents[2]
SMALL = Path(__file__).with_name("small.yaml")
TRAINED_PARTS = {"normalization", "backbone", "neck", "head", "assignment", "loss", "backward", "optimizer"}


class Times(Hook):
    """Notes when each step begins."""

    def __init__(self) -> None:
        self.began: list[float] = []

    def before_step(self, trainer: Trainer) -> None:
        self.began.append(time.perf_counter())


class Slow(list[Batch]):
    """Batches that take 20 ms each."""

    def __iter__(self) -> Iterator[Batch]:
        while True:
            time.sleep(0.02)
            yield self[0]


def profile(folder: Path, **numbers: int) -> Profile:
    return Profile(SimpleNamespace(path=folder), **numbers)  # type: ignore[arg-type]


def seconds(folder: Path) -> dict[str, float]:
    (only,) = json.loads((folder / "profile" / "step.json").read_text())["seconds"]
    return only


def test_the_parts_add_up_to_the_step(line_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    times = Times()
    trainer = line_trainer(hooks=[profile(tmp_path, skip=2, steps=5, traced_steps=0), times], num_iterations=9)
    trainer.batches = Slow(trainer.batches[:])  # type: ignore[index]
    trainer.train()
    parts = seconds(tmp_path)
    assert sum(parts.values()) == pytest.approx((times.began[7] - times.began[2]) / 5, abs=2e-3)
    assert parts["wait for data"] > 0.02
    assert {"copy to the device", "backward", "optimizer"} < set(parts)


def test_a_run_has_its_table_and_its_trace_and_trains_as_ever(
    small_config: Callable[..., CfgNode],
    losses: Callable[[Path], list[float]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    length = ["SOLVER.LENGTH", "20it", "EVALUATION.PERIOD", "0", "DATASETS.TEST", "[]"]
    train(small_config(*length), profile=True)
    train(small_config(*length, "OUTPUT_DIR", tmp_path / "other"))
    assert losses(tmp_path / "run") == losses(tmp_path / "other")
    assert not (tmp_path / "other" / "profile").exists()
    folder = tmp_path / "run" / "profile"
    assert set(seconds(tmp_path / "run")) > TRAINED_PARTS
    assert (folder / "step.txt").read_text().strip() in (tmp_path / "run" / "log.txt").read_text()
    names = {event.get("name") for event in json.loads((folder / "trace.json").read_text())["traceEvents"]}
    assert {"wait for data", "backward", "aten::convolution"} < names


def test_the_config_of_a_profiled_run_is_that_of_any_other(small_config: Callable[..., CfgNode], tmp_path: Path) -> None:
    train(small_config("DATASETS.TEST", "[]"), profile=True)
    assert "Profile" not in (tmp_path / "run" / "config.yaml").read_text()


@pytest.mark.parametrize(("num_iterations", "steps"), [(3, 1), (4, 2), (6, 4)])
def test_a_training_that_is_too_short_gives_what_it_has(
    line_trainer: Callable[..., Trainer], tmp_path: Path, caplog: pytest.LogCaptureFixture, num_iterations: int, steps: int
) -> None:
    line_trainer(hooks=[profile(tmp_path, skip=2, steps=4)], num_iterations=num_iterations).train()
    assert f"the profile takes 9 steps and {num_iterations} are left" in caplog.text
    assert json.loads((tmp_path / "profile" / "step.json").read_text())["steps"] == steps


def test_a_training_that_ends_before_the_profile_begins_gives_none(
    line_trainer: Callable[..., Trainer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    line_trainer(hooks=[profile(tmp_path)], num_iterations=5).train()
    assert "it will not be complete" in caplog.text
    assert not (tmp_path / "profile").exists()


def test_a_trace_that_cannot_be_written_does_not_hide_what_ended_the_training(
    line_trainer: Callable[..., Trainer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(Hook):
        def after_step(self, trainer: Trainer) -> None:
            if trainer.iteration == 3:
                (tmp_path / "profile" / "step.txt").unlink()
                (tmp_path / "profile" / "step.json").unlink()
                (tmp_path / "profile").rmdir()
                (tmp_path / "profile").write_text("in the way")
                raise KeyError("the reason")

    hooks = [profile(tmp_path, skip=0, steps=1, traced_steps=5), Fails()]
    with pytest.raises(KeyError, match="the reason"):
        line_trainer(hooks=hooks, num_iterations=9).train()
    assert "the trace could not be written" in caplog.text


@pytest.mark.parametrize("numbers", [{"skip": -1}, {"steps": 0}, {"traced_steps": -1}])
def test_numbers_out_of_range_are_shown(tmp_path: Path, numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"steps >= 1 and .* got .*{next(iter(numbers.values()))}"):
        profile(tmp_path, **numbers)


def test_the_table_has_the_largest_first_and_the_sum_last() -> None:
    lines = table([{"head": 0.03, "backward": 0.05, "loss": 0.02}], 10).splitlines()
    assert lines[0].split() == ["mean", "of", "10", "steps", "ms", "share"]
    rows: list[Any] = [line.split() for line in lines[2:]]
    assert rows == [
        ["backward", "50.0", "50.0", "%"],
        ["head", "30.0", "30.0", "%"],
        ["loss", "20.0", "20.0", "%"],
        ["step", "100.0", "100.0", "%"],
    ]


def test_the_table_of_processes_has_their_range() -> None:
    text = table([{"wait for data": 0.01, "head": 0.02}, {"head": 0.04}], 1)
    rows = {" ".join(line.split()[:-6]): " ".join(line.split()[-3:]) for line in text.splitlines()[2:]}
    assert "of 2 processes" in text
    assert rows == {"head": "20.0 to 40.0", "wait for data": "0.0 to 10.0", "step": "30.0 to 40.0"}


@pytest.mark.slow
def test_two_processes_have_communication_and_learn_the_same(tmp_path: Path) -> None:
    command = [sys.executable, "tools/train_net.py", "--config-file", str(SMALL), "--num-gpus", "2"]
    settings = ["MODEL.DEVICE", "cpu", "SOLVER.LENGTH", "20it", "DATASETS.TEST", "[]"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name, flags in (("with", ["--profile"]), ("without", [])):
        run = [*command, *flags, *settings, "OUTPUT_DIR", str(tmp_path / name)]
        subprocess.run(run, cwd=REPOSITORY, env=environment, check=True, timeout=240, capture_output=True)
    everywhere = json.loads((tmp_path / "with" / "profile" / "step.json").read_text())["seconds"]
    assert len(everywhere) == 2
    assert all(each["communication"] > 0 for each in everywhere)
    lines = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("with", "without")]
    found, wanted = ([json.loads(line)["loss"] for line in each] for each in lines)
    assert found == wanted
