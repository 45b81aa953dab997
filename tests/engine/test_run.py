"""Whole runs of a tiny network: what a config asks for happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.engine import train
from dettoolkit.engine.run import _build_trainer
from dettoolkit.engine.trainer import Trainer

SmallConfig = Callable[..., CfgNode]
Losses = Callable[[Path], list[float]]
Rows = Callable[[Path], list[dict[str, Any]]]

PERIODIC = "HOOKS.5"
ACCUMULATED = ("SOLVER.ACCUMULATE", 2)


def _folder(cfg: CfgNode) -> Path:
    return Path(cfg.OUTPUT_DIR)


def test_old_periodic_checkpoints_go_and_as_many_stay_as_asked(small_config: SmallConfig) -> None:
    cfg = small_config(f"{PERIODIC}.PERIOD", 1, f"{PERIODIC}.KEEP", 3)
    train(cfg)
    names = {path.name for path in (_folder(cfg) / "checkpoints").iterdir()}
    assert names == {f"model_{i:08d}.pth" for i in (3, 4, 5)} | {"model_final.pth", "model_best.pth"}


def test_two_runs_in_one_process_are_equal_and_apart(small_config: SmallConfig, tmp_path: Path, losses: Losses) -> None:
    first, second = (small_config("OUTPUT_DIR", tmp_path / "run_{number}") for _ in range(2))
    assert train(first) == train(second)
    assert first.OUTPUT_DIR.endswith("{number}")  # the caller's config stays as it was
    assert losses(tmp_path / "run_1") == losses(tmp_path / "run_2") != []
    logs = [(tmp_path / f"run_{number}" / "log.txt").read_text() for number in (1, 2)]
    assert [log.count("the run is in") for log in logs] == [1, 1]


def test_another_seed_is_another_run(small_config: SmallConfig, tmp_path: Path, losses: Losses) -> None:
    for seed in (0, 1):
        train(small_config("SEED", seed, "OUTPUT_DIR", tmp_path / str(seed)))
    assert losses(tmp_path / "0") != losses(tmp_path / "1")


def test_channels_last_changes_the_memory_order_and_not_the_losses(
    small_config: SmallConfig, tmp_path: Path, losses: Losses
) -> None:
    for value in ("true", "false"):
        train(small_config("MODEL.CHANNELS_LAST", value, "SOLVER.LENGTH", 10, "OUTPUT_DIR", tmp_path / value))
    assert losses(tmp_path / "true") == pytest.approx(losses(tmp_path / "false"), rel=1e-4)


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_lower_precision_runs_on_the_cpu_and_is_near(
    small_config: SmallConfig, tmp_path: Path, losses: Losses, amp: str
) -> None:
    for value in ("none", amp):
        train(small_config("SOLVER.AMP", value, "OUTPUT_DIR", tmp_path / value))
    full, low = losses(tmp_path / "none"), losses(tmp_path / amp)
    assert low != full
    assert low == pytest.approx(full, rel=0.05)


def test_workers_do_not_change_the_losses(small_config: SmallConfig, tmp_path: Path, losses: Losses) -> None:
    for workers in (0, 1):
        train(small_config("DATALOADER.NUM_WORKERS", workers, "OUTPUT_DIR", tmp_path / str(workers)))
    assert losses(tmp_path / "0") == losses(tmp_path / "1")


def test_accumulation_is_the_mean_of_the_losses_of_the_parts(small_config: SmallConfig, tmp_path: Path, losses: Losses) -> None:
    train(small_config(*ACCUMULATED, "SOLVER.LENGTH", 1, "OUTPUT_DIR", tmp_path / "accumulated"))
    seen: list[float] = []
    cfg = small_config("SOLVER.LENGTH", 1, "OUTPUT_DIR", tmp_path / "parts")

    def build(run: Any, dataset: Any, checkpointer: Any) -> Trainer:
        trainer = _build_trainer(run, dataset, checkpointer)
        batch = next(iter(trainer.batches))
        for part in (slice(0, 4), slice(4, 8)):  # each with a normaliser of its own
            output = run.model(batch.images[part], batch.image_sizes[part], batch.targets[part])
            seen.append(output.total.item())
        return trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dettoolkit.engine.run._build_trainer", build)
        train(cfg)
    assert losses(tmp_path / "accumulated") == [pytest.approx(sum(seen) / 2, rel=1e-5)]


def test_several_test_sets_have_their_names_in_front_and_the_first_decides_what_is_best(
    small_config: SmallConfig, rows: Rows
) -> None:
    cfg = small_config("DATASETS.TEST", "[other, tiny]")
    numbers = train(cfg)
    assert {"other/bbox/AP", "tiny/bbox/AP", "other/validation/loss", "tiny/validation/loss"} <= numbers.keys()
    assert "bbox/AP" not in numbers
    assert rows(_folder(cfg))[-1].items() >= numbers.items()
    state = torch.load(_folder(cfg) / "checkpoints" / "model_final.pth", weights_only=True)["training"]["hooks"][
        "BestCheckpoint"
    ]
    assert state["best"] == numbers["other/bbox/AP"]
    assert sorted(path.name for path in (_folder(cfg) / "inference").iterdir()) == ["other", "tiny"]
    report = (_folder(cfg) / "report" / "index.html").read_text()
    assert "other" in report
    assert "tiny" in report


def test_without_a_test_set_a_run_trains_and_says_what_it_lacks(
    small_config: SmallConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    cfg = small_config("DATASETS.TEST", "[]")
    assert train(cfg) == {}
    assert "DATASETS.TEST is empty: nothing will be evaluated" in capfd.readouterr().err
    assert {path.name for path in (_folder(cfg) / "checkpoints").iterdir()} == {"model_final.pth"}


def test_the_learning_rate_is_scaled_by_the_batch_and_that_is_said(
    small_config: SmallConfig, rows: Rows, capfd: pytest.CaptureFixture[str]
) -> None:
    cfg = small_config("SOLVER.REFERENCE_BATCH_SIZE", 16, "SOLVER.LENGTH", 1)
    train(cfg)
    assert "learning rate 0.02 -> 0.01 (batch 8, reference 16)" in capfd.readouterr().err
    assert rows(_folder(cfg))[0]["lr"] == pytest.approx(0.01)


def test_a_config_in_epochs_is_turned_into_steps(small_config: SmallConfig, losses: Losses) -> None:
    cfg = small_config("SOLVER.LENGTH", "1.5ep")
    train(cfg)
    assert len(losses(_folder(cfg))) == 3  # 12 images in batches of 8 are 2 steps an epoch


def test_fine_tuning_starts_from_the_weights_given(small_config: SmallConfig, tmp_path: Path) -> None:
    first = small_config()
    numbers = train(first)
    weights = _folder(first) / "checkpoints" / "model_best.pth"
    tuned = small_config("MODEL.WEIGHTS", weights, "SOLVER.BASE_LR", 1e-12, "OUTPUT_DIR", tmp_path / "tuned")
    assert train(tuned)["validation/loss"] == pytest.approx(numbers["validation/loss"], rel=1e-6)


def test_log_lines_are_on_the_console_and_in_the_file_once(
    small_config: SmallConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    cfg = small_config()
    train(cfg)
    console, file = capfd.readouterr().err, (_folder(cfg) / "log.txt").read_text()
    for text in (console, file):
        assert text.count("12 images, 6 iterations of 8 images (2 an epoch)") == 1
    assert "\x1b" not in file
