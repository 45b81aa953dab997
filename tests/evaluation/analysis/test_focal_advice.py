"""Warnings in words: one case for each, and healthy ones for none."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from dettoolkit.evaluation.analysis import FocalSetting, advise_at_start, advise_in_training, count_logits
from dettoolkit.evaluation.analysis.focal_advice import resting_score
from dettoolkit.evaluation.analysis.focal_statistics import bin_losses
from dettoolkit.modeling.losses import CrossEntropyLoss, FocalLoss, HingeLoss

PRIOR = math.log(0.01 / 0.99)


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def counted(*groups: tuple[bool, int, float, float]) -> Tensor:
    """``[2, B]`` counts of groups of outputs: (positive, how many, mean logit, spread)."""
    generator = torch.Generator().manual_seed(4)
    logits, labels = [], []
    for positive, number, mean, spread in groups:
        logits.append(mean + spread * torch.randn(number, 1, generator=generator))
        labels.append(torch.full((number,), 0 if positive else -1))
    return count_logits(torch.cat(logits), torch.cat(labels)).sum(1)


def start(
    loss: Any, prior: float = 0.01, negatives: int = 25_000, mean: float | None = None, spread: float = 0.05
) -> dict[str, str]:
    """Judge a first step with 100 positives whose outputs are the prior's, or of another mean and spread."""
    mean = logit(prior) if mean is None else mean
    counts = counted((True, 100, mean, spread), (False, negatives, mean, spread))
    return advise_at_start(counts, bin_losses(loss), FocalSetting(*_setting(loss), prior))


def later(loss: Any, *groups: tuple[bool, int, float, float], prior: float = 0.01, late: bool = False) -> dict[str, str]:
    return advise_in_training(counted(*groups), bin_losses(loss), FocalSetting(*_setting(loss), prior), late)


def _setting(loss: Any) -> tuple[float | None, float | None]:
    setting = FocalSetting.of(loss, None)
    return setting.alpha, setting.gamma


def test_the_setting_is_read_off_the_parts() -> None:
    class Head:
        prior_probability = 0.02

    assert FocalSetting.of(FocalLoss(0.4, 1.5), Head()) == FocalSetting(0.4, 1.5, 0.02)
    assert FocalSetting.of(CrossEntropyLoss(0.7), None) == FocalSetting(0.7, 0.0, None)
    assert FocalSetting.of(HingeLoss(), Head()) == FocalSetting(None, None, 0.02)


def test_the_resting_score_of_cross_entropy_is_the_part_of_the_positives() -> None:
    # the constant with the smallest cross-entropy is the frequency
    score, least = resting_score(100, 900, bin_losses(CrossEntropyLoss()))
    assert score == pytest.approx(0.1, rel=0.02)  # the middle of a bin
    assert least == pytest.approx(-100 * math.log(0.1) - 900 * math.log(0.9), rel=1e-3)


def test_the_resting_score_of_focal_loss_solves_its_derivative() -> None:
    # for small p: d/dp [P alpha (1-p)^2 (-log p) + N (1-alpha) p^3] = 0; found by bisection on the exact derivative
    def slope(p: float) -> float:
        own = 0.25 * (2 * (1 - p) * math.log(p) - (1 - p) ** 2 / p)
        other = 0.75 * (-2 * p * math.log(1 - p) + p * p / (1 - p))
        return own + 250 * other

    low, high = 1e-6, 0.5
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    assert resting_score(1, 250, bin_losses(FocalLoss()))[0] == pytest.approx(low, rel=0.03)


@pytest.mark.parametrize("negatives_a_positive", [30, 250, 10_000, 80_000])
def test_the_papers_setting_starts_well_on_all_kinds_of_data(negatives_a_positive: int) -> None:
    counts = counted((True, 100, PRIOR, 0.05), (False, 1000, PRIOR, 0.05)).double()
    counts[0] *= negatives_a_positive / 10
    assert advise_at_start(counts, bin_losses(FocalLoss()), FocalSetting(0.25, 2.0, 0.01)) == {}


def test_a_prior_that_is_too_high_is_to_be_lowered() -> None:
    advice = start(FocalLoss(), prior=0.5)
    assert advice.keys() == {"prior"}
    # at 0.5: 0.25 * 0.25 * 0.693 + 250 * 0.75 * 0.25 * 0.693 = 32.5 a positive; where it is least, at 0.078, it is
    # 0.25 * 0.922^2 * 2.55 + 250 * 0.75 * 0.078^2 * 0.0813 = 0.635
    found = re.search(r"PRIOR_PROBABILITY 0\.5 makes the first classification loss (\d+) times", advice["prior"])
    assert found
    assert float(found[1]) == pytest.approx(32.5 / 0.635, rel=0.05)
    assert advice["prior"].endswith("(250 negatives a positive). Lower it to about 0.08.")


def test_of_weights_that_have_learnt_already_the_prior_is_not_judged() -> None:
    assert start(FocalLoss(), prior=0.5, mean=-5.0) == {}


def test_cross_entropy_on_many_negatives_may_also_take_gamma() -> None:
    advice = start(CrossEntropyLoss(), negatives=1_000_000)
    assert advice["prior"].endswith("Lower it to about 0.0001, or raise MODEL.LOSSES.CLASSIFICATION.GAMMA (0, cross-entropy).")


def test_a_prior_that_is_too_low_is_to_be_raised() -> None:
    advice = start(FocalLoss(), prior=1e-13)
    assert advice["prior"].endswith("Raise it to about 0.08.")


def test_outputs_that_do_not_start_at_the_prior_are_told() -> None:
    advice = start(FocalLoss(), spread=3.0)
    assert advice.keys() == {"off prior"}
    assert re.match(
        r"The first classification loss is \d+ times what MODEL\.HEAD\.PRIOR_PROBABILITY 0\.01 promises", advice["off prior"]
    )
    assert start(FocalLoss(), spread=0.5) == {}


@pytest.mark.parametrize(
    ("loss", "keys"),
    [
        (FocalLoss(0.999), "MODEL.LOSSES.CLASSIFICATION.ALPHA (0.999)"),
        (FocalLoss(0.25, 8.0), "MODEL.LOSSES.CLASSIFICATION.GAMMA (8)"),
        (FocalLoss(0.99, 4.0), "MODEL.LOSSES.CLASSIFICATION.ALPHA (0.99) or MODEL.LOSSES.CLASSIFICATION.GAMMA (4)"),
    ],
)
def test_a_loss_that_leaves_background_its_scores_is_told_at_once(loss: FocalLoss, keys: str) -> None:
    advice = start(loss)
    assert advice.keys() == {"resting score"}  # and nothing of the prior, which is not at fault
    assert advice["resting score"].endswith(f"background keeps scores like that. Lower {keys}.")


def test_a_few_positives_say_nothing() -> None:
    counts = counted((True, 9, 0.0, 0.0), (False, 10_000, 0.0, 0.0))
    assert advise_at_start(counts, bin_losses(FocalLoss()), FocalSetting(0.25, 2.0, 0.5)) == {}
    assert advise_in_training(counts, bin_losses(FocalLoss()), FocalSetting(0.25, 2.0, 0.01), True) == {}


def test_a_healthy_training_is_left_in_peace() -> None:
    # positives with a p_t of 0.3 to 0.95, background far below with a few hard ones
    groups = ((True, 500, 1.0, 1.0), (False, 100_000, -6.0, 1.0), (False, 300, -1.0, 1.0))
    assert later(FocalLoss(), *groups, late=True) == {}


def _balanced(loss: Any, positives: float, spread: float) -> float:
    """The mean logit of the negatives at which the gradients of both sides by a common bias are equal."""

    def pull(mean: float) -> float:
        counts = counted((True, 500, positives, 1.0), (False, 50_000, mean, spread)).double()
        losses = bin_losses(loss)
        by_logit = (losses[:, 2:] - losses[:, :-2]) * 16  # over two bins of 1/32
        return float((counts[:, 1:-1] * by_logit).sum())

    low, high = -25.0, 6.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if pull(middle) < 0 else (low, middle)
    return low


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("alpha", [0.25, 0.75])
@pytest.mark.parametrize("positives", [-3.5, 0.0, 3.0])
@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_no_training_in_balance_is_said_to_be_out_of_it(gamma: float, alpha: float, positives: float, spread: float) -> None:
    loss = FocalLoss(alpha, gamma)
    background = (False, 50_000, _balanced(loss, positives, spread), spread)
    advice = later(loss, (True, 500, positives, 1.0), background)
    assert not advice.keys() & {"drowned positives", "loud background", "silent background"}


def test_positives_that_drown_ask_for_more_alpha_or_gamma() -> None:
    advice = later(CrossEntropyLoss(0.5), (True, 500, -1.0, 1.0), (False, 100_000, -1.5, 0.5))
    assert advice == {
        "drowned positives": advice["drowned positives"],
    }
    assert re.match(
        r"The positives have \d\.\d% of the classification loss, at a mean p_t of 0\.\d\d: the negatives drown",
        advice["drowned positives"],
    )
    assert advice["drowned positives"].endswith(
        "Raise MODEL.LOSSES.CLASSIFICATION.ALPHA (0.5) or MODEL.LOSSES.CLASSIFICATION.GAMMA (0, cross-entropy)."
    )


def test_loud_background_asks_for_less_alpha() -> None:
    groups = ((True, 500, 4.0, 0.5), (False, 100_000, 0.0, 0.5))
    advice = later(FocalLoss(0.99), *groups)
    assert advice["loud background"].endswith("too high scores. Lower MODEL.LOSSES.CLASSIFICATION.ALPHA (0.99).")
    assert later(FocalLoss(), *groups) == {}  # not with an alpha that is no higher than the paper's


def test_silent_background_asks_for_less_alpha_or_gamma() -> None:
    groups = ((True, 500, -1.0, 1.0), (False, 100_000, -7.0, 0.5))
    assert later(FocalLoss(0.25, 4.0), *groups)["silent background"].endswith(
        "background is hardly learnt from. Lower MODEL.LOSSES.CLASSIFICATION.GAMMA (4)."
    )
    # with the paper's setting, they are not at fault
    assert "Raise MODEL.HEAD.PRIOR_PROBABILITY or SOLVER.BASE_LR" in later(FocalLoss(), *groups)["silent background"]


def test_few_negatives_ask_for_less_gamma() -> None:
    groups = ((True, 5000, 0.0, 0.5), (False, 100_000, -6.0, 0.5), (False, 20, 2.0, 0.5))
    advice = later(FocalLoss(0.25, 5.0), *groups)
    assert re.match(r"The loss of the negatives rests on (1\d|20)\.\d of them for 5000 positives", advice["few negatives"])
    assert advice["few negatives"].endswith("Lower MODEL.LOSSES.CLASSIFICATION.GAMMA (5).")


def test_positives_at_the_prior_are_told_late_and_not_early() -> None:
    groups = ((True, 500, PRIOR, 0.3), (False, 20_000, PRIOR - 0.2, 0.5), (False, 200, 0.0, 1.0))
    assert later(FocalLoss(), *groups) == {}
    advice = later(FocalLoss(), *groups, late=True)
    assert advice.keys() == {"unlearnt positives"}
    assert advice["unlearnt positives"].endswith("Raise SOLVER.BASE_LR, or see whether boxes and images agree.")
    # with so small an alpha the best that a network can do without knowing anything is below the prior
    advice = later(FocalLoss(1e-6), *groups, late=True)
    assert advice["unlearnt positives"].endswith("Raise MODEL.LOSSES.CLASSIFICATION.ALPHA (1e-06).")
    assert "unlearnt positives" in later(HingeLoss(), *groups, late=True)


def test_of_other_losses_the_balance_is_not_judged() -> None:
    assert later(HingeLoss(), (True, 500, -1.0, 1.0), (False, 100_000, 2.0, 0.5)) == {}
