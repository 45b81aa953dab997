"""What the microscope's numbers say of alpha, gamma and the prior, in words.

Where the bias of the outputs no longer moves, the gradients of positives and negatives are equal. Easy outputs have
gamma + 1 times their loss as gradient, hard ones between a fifth of it and all of it, so that up to gamma = 2 the positives
then have between 6 % and 94 % of the loss: what is beyond that is out of balance, see BALANCED.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dettoolkit.evaluation.analysis.focal_statistics import numbers
from dettoolkit.evaluation.analysis.logit_histogram import NEGATIVES, POSITIVES, bin_centers
from dettoolkit.modeling.losses import CrossEntropyLoss, FocalLoss
from dettoolkit.modeling.losses.by_class import ByClass

BALANCED = (0.05, 0.95)  # the positives' share of the loss
FEW_NEGATIVES = 0.01  # effective negatives a positive; a healthy training with gamma = 2 shows 0.1 and more
MUCH_WORSE = 10.0  # the first loss over that of the best constant output; 2 for a prior of 0.01 and 250 negatives a positive
OFF_PRIOR = 3.0  # the first loss over that of the prior everywhere; they differ by a few per cent in a fresh head
HIGH_RESTING_SCORE = 0.2  # 0.08 for alpha = 0.25, gamma = 2 and 250 negatives a positive, 0.01 for 80 000
NEAR_PRIOR = 2.0  # mean p_t of the positives over the prior
ENOUGH_POSITIVES = 10  # fewer say nothing
_PAPERS_ALPHA, _PAPERS_GAMMA = 0.25, 2.0  # Lin et al., ICCV 2017, section 5.1
_LOSS = "MODEL.LOSSES.CLASSIFICATION"
_PRIOR = "MODEL.HEAD.PRIOR_PROBABILITY"


@dataclass(frozen=True)
class FocalSetting:
    """What may be turned.

    Args:
        alpha: of focal loss or cross-entropy, the mean of a list by class; None where it weights nothing, and for other losses.
        gamma: of focal loss, 0 for cross-entropy; None for other losses, of which less is said.
        prior: the probability that the outputs start from; None where that is not known.
    """

    alpha: float | None
    gamma: float | None
    prior: float | None

    @classmethod
    def of(cls, classification_loss: Any, head: Any) -> FocalSetting:
        """Read the setting off the parts of a detector."""
        prior = getattr(head, "prior_probability", None)
        if not isinstance(classification_loss, (FocalLoss, CrossEntropyLoss)):
            return cls(None, None, prior)
        alpha = classification_loss.alpha
        alpha = alpha.mean if isinstance(alpha, ByClass) else alpha
        return cls(alpha, getattr(classification_loss, "gamma", 0.0), prior)


def resting_score(positives: float, negatives: float, losses: Tensor) -> tuple[float, float]:
    """Return the score that has the smallest loss when every output has it, and that loss.

    It is where a network that knows nothing but the number of positives and negatives comes to rest.

    Args:
        positives: how many.
        negatives: how many.
        losses: ``[2, B]`` of one negative and one positive output.
    """
    total = positives * losses[POSITIVES] + negatives * losses[NEGATIVES]
    best = int(total.argmin())
    return float(torch.sigmoid(bin_centers()[best])), float(total[best])


def advise_at_start(counts: Tensor, losses: Tensor, setting: FocalSetting) -> dict[str, str]:
    """Judge the first step of a training, whose outputs are those of fresh weights.

    Args:
        counts: ``[2, B]`` of negatives and positives, see ``count_logits``.
        losses: ``[2, B]`` of one output of each bin.
        setting: what may be turned.

    Returns:
        Kind of trouble -> words; empty where all is well or there are too few positives to tell.
    """
    negatives, positives = (float(side.sum()) for side in counts)
    if positives < ENOUGH_POSITIVES:
        return {}
    score, _ = resting_score(positives, negatives, losses)
    above = _above_the_paper(setting)
    advice = {} if setting.prior is None else _advise_on_prior(counts.double(), losses, setting, setting.prior)
    if score > HIGH_RESTING_SCORE and above:
        advice.pop("prior", None)  # it is the loss that asks for another prior
        advice["resting score"] = (
            f"With {_LOSS} as it is, a network that knows nothing would score everything {score:.2f} on these data "
            f"({negatives / positives:.0f} negatives a positive), and background keeps scores like that. Lower {above}."
        )
    return advice


def advise_in_training(counts: Tensor, losses: Tensor, setting: FocalSetting, late: bool) -> dict[str, str]:
    """Judge steps after the warm-up.

    Args:
        counts: ``[2, B]`` of negatives and positives of one or more steps.
        losses: ``[2, B]`` of one output of each bin.
        setting: what may be turned.
        late: whether the positives should have been found by now.

    Returns:
        Kind of trouble -> words; empty where all is well or there are too few positives to tell.
    """
    found = {name: float(value) for name, value in numbers(counts, losses).items()}
    if found["positives"] < ENOUGH_POSITIVES:
        return {}
    advice = {} if setting.gamma is None else _advise_on_balance(found, setting)
    if late and setting.prior is not None and found["p_t"] < min(NEAR_PRIOR * setting.prior, 0.1):
        score, _ = resting_score(found["positives"], float(counts[NEGATIVES].sum()), losses)
        low_alpha = setting.alpha is not None and score < setting.prior
        key = _keys(setting, gamma=False) if low_alpha else "SOLVER.BASE_LR, or see whether boxes and images agree"
        advice["unlearnt positives"] = (
            f"The mean p_t of the positives is {found['p_t']:.2g}, no more than about {_PRIOR} {setting.prior:g}, where it "
            f"began. Raise {key}."
        )
    return advice


def _advise_on_prior(counts: Tensor, losses: Tensor, setting: FocalSetting, prior: float) -> dict[str, str]:
    negatives, positives = (float(side.sum()) for side in counts)
    score, least = resting_score(positives, negatives, losses)
    nearest = int((bin_centers() - math.log(prior / (1 - prior))).abs().argmin())
    promised = float(positives * losses[POSITIVES, nearest] + negatives * losses[NEGATIVES, nearest])
    first = float((counts * losses).sum())
    advice = {}
    if promised > MUCH_WORSE * least and first > promised / OFF_PRIOR:  # else the weights are not fresh
        low_gamma = setting.gamma is not None and setting.gamma < _PAPERS_GAMMA
        remedy = f"Raise it to about {score:.1g}"
        if prior > score:
            remedy = f"Lower it to about {score:.1g}" + (f", or raise {_keys(setting, alpha=False)}" if low_gamma else "")
        advice["prior"] = (
            f"{_PRIOR} {prior:g} makes the first classification loss {promised / least:.0f} times as large as that of "
            f"{score:.1g} everywhere, the best for these data ({negatives / positives:.0f} negatives a positive). {remedy}."
        )
    if first > OFF_PRIOR * promised:
        advice["off prior"] = (
            f"The first classification loss is {first / promised:.0f} times what {_PRIOR} {prior:g} promises: the outputs do "
            "not start there. Look at MODEL.INPUT and at how the head's weights begin."
        )
    return advice


def _advise_on_balance(found: Mapping[str, float], setting: FocalSetting) -> dict[str, str]:
    share, p_t, effective = found["positive_share"], found["p_t"], found["effective_negatives"]
    facts = f"The positives have {share:.1%} of the classification loss, at a mean p_t of {p_t:.2f}"
    advice = {}
    if share < BALANCED[0] and p_t < 0.5:
        advice["drowned positives"] = f"{facts}: the negatives drown them. Raise {_keys(setting)}."
    elif share < BALANCED[0] and (setting.alpha is None or setting.alpha > _PAPERS_ALPHA):
        advice["loud background"] = (
            f"{facts}: they are found, but so is background, which has too high scores. Lower {_keys(setting, gamma=False)}."
        )
    elif share > BALANCED[1]:
        above = _above_the_paper(setting)
        remedy = (
            f"Lower {above}" if above else f"Raise {_PRIOR} or SOLVER.BASE_LR: the scores have not risen to their balance yet"
        )
        advice["silent background"] = f"{facts}: background is hardly learnt from. {remedy}."
    if effective < FEW_NEGATIVES * found["positives"]:
        advice["few negatives"] = (
            f"The loss of the negatives rests on {effective:.1f} of them for {found['positives']:.0f} positives: a few "
            f"outliers decide, wrong labels perhaps. Lower {_keys(setting, alpha=False)}."
        )
    return advice


def _keys(setting: FocalSetting, alpha: bool = True, gamma: bool = True) -> str:
    """Return the keys that may be turned; ``alpha`` and ``gamma`` say which of them to name."""
    keys = []
    if alpha:
        keys.append(f"{_LOSS}.ALPHA ({'null' if setting.alpha is None else format(setting.alpha, 'g')})")
    if gamma:
        keys.append(f"{_LOSS}.GAMMA ({setting.gamma:g}{'' if setting.gamma else ', cross-entropy'})")
    return " or ".join(keys)


def _above_the_paper(setting: FocalSetting) -> str:
    """Return the keys that are set higher than in the paper, whose setting is no mistake on any data."""
    high_alpha = setting.alpha is not None and setting.alpha > _PAPERS_ALPHA
    high_gamma = setting.gamma is not None and setting.gamma > _PAPERS_GAMMA
    return _keys(setting, high_alpha, high_gamma) if high_alpha or high_gamma else ""
