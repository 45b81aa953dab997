from __future__ import annotations

import math
from pathlib import Path

import pytest

from dettoolkit.config import load_config
from dettoolkit.engine.rehearsal import Overfit, overfit_one_batch

SMALL = Path(__file__).parents[1] / "small.yaml"


def test_the_share_is_the_mean_of_the_last_losses_over_the_first() -> None:
    found = Overfit((4.0, 3.0, 1.0, 1.0, 2.0, 2.0, 2.0), 3, 2, 5.0)
    assert found.share_left == pytest.approx(1.6 / 4)
    assert found.is_learned
    assert not Overfit((4.0, 4.0), 3, 2, 5.0).is_learned
    assert math.isinf(Overfit((4.0, math.nan), 3, 2, 5.0).share_left)
    assert not Overfit((), 0, 2, None).is_learned


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_one_batch_of_small_pictures_is_learned(tmp_path: Path) -> None:
    found = overfit_one_batch(load_config(SMALL), steps=40)
    assert found.num_images == 8
    assert found.num_objects > 0
    assert found.positives
    assert len(found.losses) == 40
    assert found.is_learned
    assert not list(tmp_path.iterdir())


def test_the_size_of_training_batches_need_not_hold_test_images() -> None:
    test_transforms = "[{NAME: ResizeShortestEdge, SIZES: [128], MAX_SIZE: 128}]"
    cfg = load_config(SMALL, ["DATASETS.TEST_TRANSFORMS", test_transforms])
    assert cfg.DATALOADER.PAD_TO == [64, 64]
    assert len(overfit_one_batch(cfg, steps=1).losses) == 1


def test_a_rate_of_nearly_nothing_learns_nothing() -> None:
    assert not overfit_one_batch(load_config(SMALL, ["SOLVER.BASE_LR", "1e-9"]), steps=6).is_learned


def test_an_absurd_rate_ends_in_a_loss_that_is_not_finite() -> None:
    found = overfit_one_batch(load_config(SMALL, ["SOLVER.BASE_LR", "1e6"]), steps=20)
    assert not found.is_learned
    assert len(found.losses) < 20
