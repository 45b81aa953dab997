import numpy as np
import pytest

from dettoolkit.data.samplers.repeats import drawn, items_by_group


def counts(weights, count, seed):
    return np.bincount(drawn(np.array(weights), count, np.random.default_rng(seed)), minlength=len(weights))


def test_whole_weights_are_counts():
    assert counts([1.0, 3.0, 0.0, 2.0], 6, 0).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("seed", range(20))
def test_each_index_comes_as_often_as_its_weight_rounded_up_or_down(seed):
    weights = np.random.default_rng(100 + seed).uniform(0, 4, 50)
    count = round(weights.sum())
    wanted = weights * count / weights.sum()
    found = counts(weights, count, seed)
    assert found.sum() == count
    assert np.all((found == np.floor(wanted)) | (found == np.ceil(wanted)))


def test_fractions_hold_on_average():
    # the mean of 4000 draws that are 0 or 1 more than the whole part deviates by at most 0.5 / sqrt(4000) = 0.008
    weights = [0.25, 1.5, 2.75, 0.5]
    mean = np.mean([counts(weights, 5, seed) for seed in range(4000)], axis=0)
    assert mean == pytest.approx(weights, abs=5 * 0.008)


def test_weights_are_scaled_to_the_count():
    assert counts([1.0, 1.0, 2.0], 8, 0).tolist() == [2, 2, 4]


def test_items_of_a_group_are_its_weights_together():
    groups = np.array([0, 1, 0, 1])
    assert items_by_group(groups, 2, None) == [2, 2]
    assert items_by_group(groups, 2, np.array([1.0, 2.0, 0.6, 2.0])) == [2, 4]  # 1.6 and 4
    assert items_by_group(groups, 3, np.array([0.1, 2.0, 0.2, 2.0])) == [1, 4, 0]  # 0.3: no group of images never comes
