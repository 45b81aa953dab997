"""Figure 4 from a histogram, against sorting every loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dettoolkit.evaluation.analysis import FocalDistribution, FocalDistributionCollector
from dettoolkit.evaluation.analysis.focal_distribution import GAMMAS
from dettoolkit.evaluation.analysis.logit_histogram import NEGATIVES, NUM_BINS, POSITIVES

LOSS = [torch.zeros(())]


def _collected(logits: Tensor, labels: Tensor) -> FocalDistribution:
    collector = FocalDistributionCollector()
    collector([logits], [labels], LOSS)
    return collector.distribution()


@pytest.fixture(scope="module")
def detector() -> tuple[Tensor, Tensor]:
    """Outputs as of a converged network: 300 positives, 59 700 negatives of which few are hard."""
    generator = torch.Generator().manual_seed(2)
    logits = 2 * torch.randn(2, 10_000, 3, generator=generator) - 6
    labels = torch.full((2, 10_000), -1)
    labels[:, :150] = torch.randint(3, (2, 150), generator=generator)
    own = torch.nn.functional.one_hot(labels.clamp(min=0), 3).bool() & (labels >= 0)[..., None]
    logits[own] += 7
    return logits, labels


def _direct(logits: Tensor, labels: Tensor, side: int, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """The curve of the paper: losses by its formula in float64, sorted, summed up, normalised."""
    own = torch.nn.functional.one_hot(labels.clamp(min=0), logits.shape[-1]).bool() & (labels >= 0)[..., None]
    probability = logits.double().sigmoid()
    p_t = probability[own] if side == POSITIVES else 1 - probability[~own]
    losses = np.sort((-((1 - p_t) ** gamma) * p_t.log()).numpy())
    summed = losses.cumsum()
    return np.arange(1, len(losses) + 1) / len(losses), summed / summed[-1]


@pytest.mark.parametrize("gamma", [*GAMMAS, 5.0])
@pytest.mark.parametrize("side", [NEGATIVES, POSITIVES])
def test_the_curve_is_that_of_sorted_losses(detector: tuple[Tensor, Tensor], side: int, gamma: float) -> None:
    fraction, loss = _collected(*detector).cumulative(side, gamma)
    direct_fraction, direct_loss = _direct(*detector, side, gamma)
    # at the end of each bin that holds samples; the losses of a bin are taken at its middle, 1/64 from its ends at most
    ends = np.flatnonzero(np.diff(fraction, prepend=-1) > 0)[1:]
    reached = np.searchsorted(direct_fraction, fraction[ends] - 1e-9)
    assert np.allclose(direct_fraction[reached], fraction[ends])
    assert np.abs(direct_loss[reached] - loss[ends]).max() < 0.005


@pytest.mark.parametrize("side", [NEGATIVES, POSITIVES])
def test_curves_rise_from_0_to_1_and_bend_more_with_gamma(detector: tuple[Tensor, Tensor], side: int) -> None:
    distribution = _collected(*detector)
    curves = [distribution.cumulative(side, gamma) for gamma in GAMMAS]
    for fraction, loss in curves:
        assert fraction[0] == loss[0] == 0
        assert fraction[-1] == loss[-1] == 1
        assert (np.diff(fraction) >= 0).all()
        assert (np.diff(loss) >= 0).all()
        assert (loss <= fraction + 1e-12).all()  # the easiest samples come first, so the curve is under the diagonal
    below = [float(((loss[1:] + loss[:-1]) / 2 * np.diff(fraction)).sum()) for fraction, loss in curves]
    assert below == sorted(below, reverse=True)
    assert len(set(below)) == len(GAMMAS)


def test_gamma_changes_the_negatives_far_more_than_the_positives(detector: tuple[Tensor, Tensor]) -> None:
    # so does the paper read figure 4, in section 5.1
    distribution = _collected(*detector)
    factor = {side: distribution.hardest_with(side, 0.0) / distribution.hardest_with(side, 2.0) for side in (0, 1)}
    assert factor[NEGATIVES] > 3 * factor[POSITIVES]


def test_half_of_the_loss_is_where_the_curve_passes_a_half(detector: tuple[Tensor, Tensor]) -> None:
    direct_fraction, direct_loss = _direct(*detector, NEGATIVES, 2.0)
    wanted = 1 - direct_fraction[np.searchsorted(direct_loss, 0.5)]
    assert _collected(*detector).hardest_with(NEGATIVES, 2.0) == pytest.approx(wanted, rel=0.03)


def test_equal_samples_have_equal_parts() -> None:
    distribution = _collected(torch.full((1, 8, 1), -2.0), torch.full((1, 8), -1))
    assert distribution.num_negatives == 8
    assert distribution.hardest_with(NEGATIVES, 2.0) == pytest.approx(0.5)
    assert distribution.num_positives == 0
    assert len(distribution.cumulative(POSITIVES, 2.0)[0]) == 0
    assert np.isnan(distribution.hardest_with(POSITIVES, 2.0))


def test_ignored_anchors_and_losses_that_are_no_numbers_do_not_count() -> None:
    collector = FocalDistributionCollector()
    collector([torch.zeros(1, 4, 2)], [torch.tensor([[0, -1, -2, -2]])], LOSS)
    collector([torch.full((1, 4, 2), torch.nan)], [torch.zeros(1, 4, dtype=torch.int64)], [torch.tensor(torch.nan)])
    assert (collector.distribution().num_positives, collector.distribution().num_negatives) == (1, 3)
    collector.reset()
    assert collector.distribution().counts.sum() == 0


def test_large_images_are_sampled_near_the_truth_and_always_alike() -> None:
    generator = torch.Generator().manual_seed(3)
    sizes, num_classes = (60_000, 15_000, 4_000), 20  # 1.6 million outputs, six times what is looked at
    logits = [2 * torch.randn(1, size, num_classes, generator=generator) - 5 for size in sizes]
    labels = [torch.full((1, size), -1) for size in sizes]
    for level in labels:
        level[0, :40] = 3
    state = torch.get_rng_state()
    collector = FocalDistributionCollector()
    collector(logits, labels, LOSS)
    sampled = collector.distribution()
    collector.reset()
    collector(logits, labels, LOSS)
    assert np.array_equal(collector.distribution().counts, sampled.counts)
    assert torch.equal(torch.get_rng_state(), state)
    assert sampled.num_positives == 120  # all of them
    assert sampled.num_negatives == pytest.approx(sum(sizes) * num_classes - 120, rel=1e-4)
    whole = FocalDistribution(np.zeros((2, NUM_BINS)))
    for level, level_labels in zip(logits, labels, strict=True):
        for part, part_labels in zip(level.split(5000, 1), level_labels.split(5000, 1), strict=True):  # counted whole
            whole = FocalDistribution(whole.counts + _collected(part, part_labels).counts)
    assert whole.num_negatives == sum(sizes) * num_classes - 120
    for gamma in GAMMAS:
        assert sampled.hardest_with(NEGATIVES, gamma) == pytest.approx(whole.hardest_with(NEGATIVES, gamma), rel=0.05)
