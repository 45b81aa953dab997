"""What the losses are divided by, worked by hand."""

from __future__ import annotations

import pytest
import torch

from dettoolkit.modeling.dense import NORMALIZERS, Normalizer
from dettoolkit.modeling.dense.normalizer import MovingAverage, PerImage, WorldAverage


def test_world_average_of_one_process_is_the_sum_of_positives() -> None:
    torch.testing.assert_close(WorldAverage()(torch.tensor([3, 0, 5])), torch.full((3,), 1 / 8))


def test_world_average_of_no_positives_is_one() -> None:
    assert WorldAverage()(torch.tensor([0, 0])).tolist() == [1.0, 1.0]


def test_world_average_asks_the_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    # another process has 2 positives: (6 + 2) / 2 = 4
    monkeypatch.setattr("dettoolkit.modeling.dense.normalizer.mean_over_processes", lambda total: (total + 2) / 2)
    assert WorldAverage()(torch.tensor([4, 2])).tolist() == [0.25, 0.25]


def test_per_image_is_each_images_positives_and_the_mean_over_images() -> None:
    # 1 / (4 * 2) and 1 / (1 * 2): an image without positives counts as one with one
    assert PerImage()(torch.tensor([4, 0])).tolist() == [0.125, 0.5]


def test_moving_average_starts_at_100_with_momentum_nine_tenths() -> None:
    normalizer = MovingAverage()
    # 0.9 * 100 + 0.1 * 30 = 93; 0.9 * 93 + 0.1 * 1 = 83.8, since no positives count as 1 (Detectron2)
    torch.testing.assert_close(normalizer(torch.tensor([10, 20])), torch.full((2,), 1 / 93))
    torch.testing.assert_close(normalizer(torch.tensor([0])), torch.full((1,), 1 / 83.8))


def test_moving_average_travels_in_the_state_dict() -> None:
    first, second = MovingAverage(), MovingAverage()
    first(torch.tensor([50]))
    second.load_state_dict(first.state_dict())
    assert list(first.state_dict()) == ["average"]
    assert second(torch.tensor([7])).equal(first(torch.tensor([7])))


def test_factors_of_a_step_stay_when_the_average_moves_on() -> None:
    normalizer = MovingAverage()
    factors = normalizer(torch.tensor([10]))
    normalizer(torch.tensor([1000]))
    torch.testing.assert_close(factors, torch.full((1,), 1 / 91))


@pytest.mark.parametrize("name", sorted(NORMALIZERS))
def test_factors_are_float32_without_gradient(name: str) -> None:
    factors = NORMALIZERS[name]()(torch.tensor([1, 2, 3]))
    assert factors.shape == (3,)
    assert factors.dtype == torch.float32
    assert not factors.requires_grad


def test_the_common_name_normalizes_nothing() -> None:
    with pytest.raises(TypeError, match="only a name"):
        Normalizer()(torch.tensor([1]))
