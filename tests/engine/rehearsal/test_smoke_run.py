from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dettoolkit.config import load_config
from dettoolkit.engine.rehearsal import SmokeRun, share_of_a_process, smoke_run
from dettoolkit.errors import ConfigError

SMALL = Path(__file__).parents[1] / "small.yaml"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_short_run_trains_evaluates_and_reads_its_checkpoint_back(tmp_path: Path) -> None:
    cfg = load_config(SMALL, ["SOLVER.LENGTH", "1000it", "EVALUATION.PERIOD", "100it", "EVALUATION.BATCH_SIZE", "2"])
    found = smoke_run(cfg, seconds=1.0)
    assert found.failure == ""
    assert 1 <= found.steps < 1000
    assert found.checkpoint_is_equal is True
    assert found.evaluation is not None
    assert "bbox/AP" in found.evaluation
    assert (found.num_test_images, found.steps_of_all, found.evaluations_of_all) == (12, 1000, 10)
    assert found.seconds_a_step
    assert found.seconds_a_test_image
    assert found.memory > 0
    assert not list(tmp_path.iterdir())


def test_the_whole_training_is_its_steps_and_its_evaluations() -> None:
    found = SmokeRun(seconds_a_step=0.5, seconds_a_test_image=0.1, num_test_images=50, steps_of_all=1000, evaluations_of_all=4)
    assert found.seconds_of_all == pytest.approx(1000 * 0.5 + 4 * 50 * 0.1)
    assert SmokeRun().seconds_of_all is None


def test_a_run_that_breaks_off_says_why() -> None:
    found = smoke_run(load_config(SMALL, ["SOLVER.BASE_LR", "1e9", "SOLVER.LENGTH", "50it"]), seconds=5.0)
    assert "the loss is not finite" in found.failure
    assert found.checkpoint_is_equal is None


def test_a_process_has_its_share_of_the_batch_and_epochs_stay_those_of_all() -> None:
    cfg = load_config(SMALL, ["SOLVER.BATCH_SIZE", "8", "SOLVER.REFERENCE_BATCH_SIZE", "null", "SOLVER.LENGTH", "12ep"])
    share = share_of_a_process(cfg, 4)
    assert (share.SOLVER.BATCH_SIZE, share.SOLVER.REFERENCE_BATCH_SIZE, cfg.SOLVER.BATCH_SIZE) == (2, 8, 8)
    found = smoke_run(share, seconds=0.5, processes=4)
    assert found.steps_of_all == 18  # 12 images, 2 at a time: 6 steps an epoch of one process, 1.5 of four
    assert found.num_test_images == 3


@pytest.mark.parametrize(
    ("length", "period", "steps", "rounds"),
    [
        ("12ep", "6ep", 18, 2),  # 1.5 steps an epoch of four processes
        ("12ep", "6it", 18, 3),
        ("100it", "10ep", 100, 7),  # every 15 steps, and at the end
        ("100it", "0it", 100, 1),
    ],
)
def test_the_evaluations_of_several_processes_are_counted_in_their_epochs(
    length: str, period: str, steps: int, rounds: int
) -> None:
    cfg = load_config(SMALL, ["SOLVER.LENGTH", length, "EVALUATION.PERIOD", period, "EVALUATION.LOSS", "false"])
    found = smoke_run(share_of_a_process(cfg, 4), seconds=0.01, processes=4)
    assert (found.steps_of_all, found.evaluations_of_all) == (steps, rounds)


def test_views_of_one_image_that_need_more_batches_are_looked_at_to_the_end() -> None:
    """A picture of 64 x 64 in tiles of 20 has more than four batches of two views: with four there would be no image."""
    views = "{TILE_SIZE: 20, TILE_OVERLAP: 0.0}"
    cfg = load_config(SMALL, ["SOLVER.LENGTH", "1it", "EVALUATION.BATCH_SIZE", "2", "DATASETS.TEST_VIEWS", views])
    found = smoke_run(cfg, seconds=0.1)
    assert found.failure == ""
    assert found.evaluation is not None


def test_no_run_is_left_with_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library without any function: opening a run with it would fail."""
    for name in ("wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())  # type: ignore[arg-type]
    writers = "[{NAME: JSONLinesWriter}, {NAME: WandbWriter}, {NAME: MLflowWriter}]"
    cfg = load_config(SMALL, ["SOLVER.LENGTH", "1it", "HOOKS.6", f"{{NAME: MetricWriters, WRITERS: {writers}}}"])
    assert smoke_run(cfg, seconds=0.1).failure == ""


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match="BATCH_SIZE 8 cannot be divided evenly among 3 processes"):
        share_of_a_process(load_config(SMALL), 3)
