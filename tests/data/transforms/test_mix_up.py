import pytest
import torch

from dettoolkit.data.transforms import MixUp
from dettoolkit.errors import ConfigError
from dettoolkit.registry import TRANSFORMS


def test_pixels_are_the_weighted_mean_and_all_boxes_stay(plain):
    for seed in range(20):
        torch.manual_seed(seed)
        wide = plain([(1, 2, 30, 40)], (50, 200), 250)
        high = plain([(0, 0, 9, 9), (5, 6, 70, 80)], (100, 80), 50, ignore=[False, True], name="b.png")
        out = MixUp(fill=110)(wide, [high])
        assert out["image"].shape == (3, 100, 200)
        weight = (int(out["image"][0, 0, 0]) - 50) / 200  # both
        near = {"abs": 0.5 + 0.5 * 140 / 200}  # half a grey level here and in the weight
        assert int(out["image"][0, 0, 199]) == pytest.approx(weight * 250 + (1 - weight) * 110, **near)  # the wide one alone
        assert int(out["image"][0, 99, 0]) == pytest.approx(weight * 110 + (1 - weight) * 50, **near)  # the high one alone
        assert int(out["image"][0, 99, 199]) == 110
        assert out["boxes"].tolist() == [[1, 2, 30, 40], [0, 0, 9, 9], [5, 6, 70, 80]]
        assert out["labels"].tolist() == [0, 0, 1]
        assert out["ignore"].tolist() == [False, False, True]
        assert out["file_name"] == "a.png"


@pytest.mark.parametrize("beta", [0.5, 1.5, 32.0])
def test_weights_are_of_the_beta_distribution(plain, beta):
    torch.manual_seed(0)
    white, black = plain(size=(1, 1), value=255), plain(size=(1, 1), value=0)
    weights = torch.tensor([int(MixUp(beta)(white, [black])["image"][0, 0, 0]) / 255 for _ in range(2000)])
    # Beta(b, b) has mean 1/2 and variance 1 / (4 (2b + 1)); the mean of 2000 is off by its standard deviation / 44.7
    variance = 1 / (4 * (2 * beta + 1))
    assert float(weights.mean()) == pytest.approx(0.5, abs=4 * variance**0.5 / 44.7)
    assert float(weights.var()) == pytest.approx(variance, rel=0.15)


def test_beta_must_be_above_0():
    with pytest.raises(ConfigError, match=r"T.0 \(MixUp\): expected beta above 0, got 0.0"):
        TRANSFORMS.build({"NAME": "MixUp", "BETA": 0.0}, "T.0")
