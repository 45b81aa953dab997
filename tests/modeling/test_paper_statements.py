"""What the focal-loss paper (Lin et al., ICCV 2017) says of its losses and of the prior, and can be computed."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dettoolkit.modeling import build_model
from dettoolkit.modeling.heads import RetinaNetHead
from dettoolkit.modeling.losses import CrossEntropyLoss, FocalLoss
from dettoolkit.structures import Annotations

GAMMAS = [0.0, 0.5, 1.0, 2.0, 5.0]  # those of figure 1


def at(p_t: Tensor | float, loss: Any) -> Tensor:
    """Return the loss ``[P]`` of an output of the label's class with probabilities ``p_t [P]``."""
    logits = torch.logit(torch.as_tensor(p_t, dtype=torch.float64)).reshape(-1, 1)
    return loss(logits, torch.zeros(len(logits), dtype=torch.int64), by_anchor=True)


@pytest.mark.parametrize("alpha", [None, 0.25, 0.75])
def test_gamma_zero_is_alpha_balanced_cross_entropy(alpha: float | None) -> None:
    # section 3.2; the other side is torch's, weighted by equation 3
    logits, labels = torch.randn(50, 4) * 3, torch.randint(-1, 4, (50,))
    target = functional.one_hot(labels.clamp(min=0), 4) * (labels >= 0)[:, None]
    weight = None if alpha is None else torch.where(target > 0, alpha, 1 - alpha)
    expected = functional.binary_cross_entropy_with_logits(logits, target.float(), weight, reduction="sum")
    torch.testing.assert_close(FocalLoss(alpha, 0.0)(logits, labels), expected)
    torch.testing.assert_close(CrossEntropyLoss(alpha)(logits, labels), expected)


@pytest.mark.parametrize(("p_t", "times"), [(0.9, 100), (0.968, 1000)])
def test_easy_examples_count_as_much_less_as_the_paper_says(p_t: float, times: float) -> None:
    # section 3.2: at gamma 2, p_t 0.9 has a loss 100 times smaller than cross-entropy, p_t 0.968 about 1000 times
    ratio = at(p_t, CrossEntropyLoss()) / at(p_t, FocalLoss(None, 2.0))
    assert ratio.item() == pytest.approx((1 - p_t) ** -2)
    assert ratio.item() == pytest.approx(times, rel=0.03)


def test_hard_examples_are_played_down_by_four_at_most() -> None:
    # section 3.2: "at most 4 times for p_t <= 0.5 and gamma = 2", and near to 1 where p_t is small
    p_t = torch.linspace(0.001, 0.5, 100)
    ratio = at(p_t, CrossEntropyLoss()) / at(p_t, FocalLoss(None, 2.0))
    assert ratio.max().item() == pytest.approx(4)
    assert ratio[0].item() == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("label", [1, -1])
def test_derivatives_are_those_of_appendix_b(gamma: float, label: int) -> None:
    # equations 9 and 10: dFL/dx = y (1 - p_t)^gamma (gamma p_t log(p_t) + p_t - 1)
    x = torch.linspace(-8, 8, 33, dtype=torch.float64)[:, None].requires_grad_()
    labels = torch.full((33,), 0 if label == 1 else -1)
    (slope,) = torch.autograd.grad(FocalLoss(None, gamma)(x, labels), x)
    p_t = torch.sigmoid(label * x.detach())
    torch.testing.assert_close(slope, label * (1 - p_t) ** gamma * (gamma * p_t * p_t.log() + p_t - 1))


def prior_head(prior_probability: float, num_classes: int = 3) -> RetinaNetHead:
    return RetinaNetHead(16, 9, num_classes, 2, num_convs=2, prior_probability=prior_probability)


@pytest.mark.parametrize("prior", [0.001, 0.01, 0.1])
def test_every_anchor_begins_as_foreground_with_the_prior_s_confidence(prior: float) -> None:
    # section 4.1
    scores = torch.cat(prior_head(prior)([torch.randn(2, 16, 8, 8), torch.randn(2, 16, 4, 4)]).logits, dim=1).sigmoid()
    torch.testing.assert_close(scores, torch.full_like(scores, prior), rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("loss", "of_negative"),
    [
        (FocalLoss(0.25, 2.0), lambda p: 0.75 * p**2 * -math.log(1 - p)),
        (CrossEntropyLoss(), lambda p: -math.log(1 - p)),
    ],
    ids=["focal", "cross-entropy"],
)
def test_the_prior_makes_the_first_loss_of_the_background_small(loss: Any, of_negative: Any) -> None:
    maps = [torch.randn(2, 16, 8, 8), torch.randn(2, 16, 4, 4)]
    first = {}
    for prior in (0.01, 0.5):  # at 0.5 the bias is 0, which is no prior
        logits = torch.cat(prior_head(prior)(maps).logits, dim=1)  # [2, R, K], R = 9 (64 + 16)
        first[prior] = loss(logits, torch.full(logits.shape[:2], -1)).item()
        assert first[prior] == pytest.approx(2 * 720 * 3 * of_negative(prior), rel=0.02)
    # 172,000 times by focal loss (alpha 0.25, gamma 2), 69 times by cross-entropy
    assert first[0.5] / first[0.01] == pytest.approx(of_negative(0.5) / of_negative(0.01), rel=0.03)
    assert of_negative(0.5) / of_negative(0.01) == pytest.approx(172_419 if isinstance(loss, FocalLoss) else 69, rel=0.01)


def test_a_whole_detector_begins_with_the_loss_of_the_prior(model_config: Any) -> None:
    # no box: all R anchors of both images are background, and the sum is divided by 1
    head = {"NAME": "RetinaNetHead", "NUM_CONVS": 1, "NORM": "none"}
    model = build_model(model_config(HEAD=head))
    images, nothing = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8), torch.zeros(0, dtype=torch.int64)
    targets = [Annotations(torch.zeros(0, 4), nothing, nothing.bool())] * 2
    num_anchors = 9 * (8 * 8 + 4 * 4 + 2 * 2 + 1 + 1)  # P3 to P7 of 64 pixels
    expected = 2 * num_anchors * 3 * 0.75 * 0.01**2 * -math.log(0.99)
    assert model(images, [(64, 64)] * 2, targets).losses["loss_cls"].item() == pytest.approx(expected, rel=0.1)


def cross_entropy_training(prior: float, seed: int) -> list[float]:
    """Return the losses of 60 steps of SGD on a head and random maps: 3 classes, 4 positives among 4608 anchors."""
    torch.manual_seed(seed)
    head = RetinaNetHead(8, 9, 3, 1, num_convs=1, prior_probability=prior)
    maps, labels = torch.randn(2, 8, 16, 16).relu(), torch.full((2, 2304), -1)
    for image in range(2):
        cells = torch.randperm(256)[:2]
        maps[image].view(8, 256)[:4, cells] += 6  # what tells an object from the background
        labels[image, cells * 9 + 4] = 0
    optimizer, losses = torch.optim.SGD(head.parameters(), lr=0.0025, momentum=0.9), []
    for _ in range(60):
        loss = CrossEntropyLoss()(head([maps]).logits[0], labels) / 4
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def test_cross_entropy_diverges_without_the_prior_where_it_converges_with_it() -> None:
    # sections 3.3 and 5.1: en masse, the negatives make the first steps of plain cross-entropy too large. How one such run
    # ends is chance, so that eight are judged together.
    with_prior, without = ([cross_entropy_training(prior, seed) for seed in range(8)] for prior in (0.01, 0.5))
    assert all(max(losses) == losses[0] for losses in with_prior)
    assert all(losses[-1] < 1e-2 * losses[0] for losses in with_prior)
    assert sum(not max(losses) <= losses[0] for losses in without) > 4  # it rises; one that is no number counts, too
    # a network that sees nothing and gives each output the share of positives, 4 of 4608 * 3, has this loss
    blind = math.log(4608 * 3 / 4) + 1
    assert sum(not losses[-1] < blind for losses in without) > 4
