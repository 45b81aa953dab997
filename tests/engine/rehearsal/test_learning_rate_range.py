from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.config import load_config
from dettoolkit.engine.rehearsal.learning_rate_range import learning_rate_range, read_range, smooth

SmallConfig = Callable[..., CfgNode]
SMALL = Path(__file__).parents[1] / "small.yaml"


@pytest.fixture
def small_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallConfig:
    monkeypatch.chdir(tmp_path)
    return lambda *overrides: load_config(SMALL, [str(value) for value in overrides])


def test_the_average_is_the_first_loss_at_first_and_corrected_for_its_start() -> None:
    # weights 0.1 and 0.09 of the second and the first loss, divided by their sum 0.19
    assert smooth([4.0]) == pytest.approx([4.0])
    assert smooth([4.0, 2.0]) == pytest.approx([4.0, (0.09 * 4 + 0.1 * 2) / 0.19])
    assert smooth([3.0] * 20) == pytest.approx([3.0] * 20)


def test_a_course_that_falls_and_explodes_is_read() -> None:
    rates = [10.0**step for step in range(-20, 0)]
    losses = [1.0] * 8 + [0.6, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 5.0, 90.0, 900.0]
    found = read_range(rates[: len(losses)], losses, 1e-5)
    assert found.diverged in (rates[16], rates[17])
    assert found.suggested is not None
    assert rates[7] < found.suggested <= found.diverged / 10
    assert found.lowest == rates[15]


def test_a_loss_that_is_not_finite_is_where_it_diverges() -> None:
    rates = [10.0**step for step in range(-9, 0)]
    found = read_range(rates[:8], [2.0, 1.9, 1.8, 1.7, 1.6, 1.5, 1.4, math.nan], 1e-3)
    assert found.diverged == rates[7]
    assert len(found.smoothed) == 7
    assert found.suggested is not None
    assert found.suggested <= rates[7] / 10


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    rates = [10.0**step for step in range(-9, 0)]
    found = read_range(rates, [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8], 1e-3)
    assert (found.suggested, found.diverged) == (None, None)
    assert read_range(rates[:1], [math.nan], 1e-3).lowest is None


def test_rates_rise_by_a_constant_factor_and_nothing_is_left_behind(small_config: SmallConfig, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    found = learning_rate_range(small_config("SOLVER.REFERENCE_BATCH_SIZE", 16, "SOLVER.BASE_LR", 0.02), steps=8)
    # rates are those for 16 images, of which half are in a batch: from 1e-6 of the batch to 10 times that of the rate
    assert found.rates[0] == pytest.approx(2e-6)
    assert found.configured == 0.02
    factors = [later / earlier for earlier, later in zip(found.rates, found.rates[1:], strict=False)]
    assert factors == pytest.approx([factors[0]] * len(factors))
    assert factors[0] == pytest.approx((20 / 2e-6) ** (1 / 7))
    assert set(tmp_path.iterdir()) == before


def test_an_absurd_rate_is_beyond_where_the_loss_diverges(small_config: SmallConfig) -> None:
    found = learning_rate_range(small_config("SOLVER.BASE_LR", 1e3, "SOLVER.REFERENCE_BATCH_SIZE", "null"), steps=30)
    assert found.diverged is not None
    assert found.diverged < 1e3
    assert len(found.losses) < 30 or not torch.tensor(found.losses).isfinite().all()
