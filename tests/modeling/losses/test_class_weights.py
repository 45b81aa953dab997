"""Class weights: what they are computed from, and what they do to losses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from dettoolkit.errors import ConfigError
from dettoolkit.modeling.losses import (
    CrossEntropyLoss,
    FocalLoss,
    FocalStarLoss,
    HingeLoss,
    QualityFocalLoss,
    VarifocalLoss,
)
from dettoolkit.modeling.losses.class_weights import ClassWeights, weights_from_counts
from dettoolkit.registry import LOSSES

FAMILY = [FocalLoss, FocalStarLoss, CrossEntropyLoss, HingeLoss, QualityFocalLoss, VarifocalLoss]
WEIGHTS = [0.5, 1.0, 3.0]


@pytest.mark.parametrize(
    ("kind", "counts", "expected"),
    [
        # 1/8 and 1/2, times 10 boxes over 8 * 1/8 + 2 * 1/2 = 2
        ("inverse", [8, 2], [5 / 8, 5 / 2]),
        # 1/4 and 1, times 17 boxes over 16 * 1/4 + 1 = 5
        ("sqrt", [16, 1], [17 / 20, 17 / 5]),
        ("inverse", [3, 3, 3], [1, 1, 1]),
        ("inverse", [8, 0, 2], [5 / 8, 5 / 2, 5 / 2]),  # a class without boxes: as the rarest
    ],
)
def test_weights_worked_by_hand(kind: Any, counts: list[int], expected: list[float]) -> None:
    assert weights_from_counts(kind, np.array(counts)).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("beta", [0.9, 0.99, 0.999, 0.9999])
def test_the_effective_number_is_the_sum_of_the_paper(beta: float) -> None:
    # Cui et al., proposition 1: E_n = sum of beta^i over i < n
    counts = np.array([1, 10, 500])
    effective = np.array([math.fsum(beta**i for i in range(n)) for n in counts])
    found = weights_from_counts("effective_number", counts, beta)
    assert (found / found[0]).tolist() == pytest.approx((effective[0] / effective).tolist(), rel=1e-9)


@pytest.mark.parametrize("kind", ["inverse", "sqrt", "effective_number"])
def test_their_mean_over_the_boxes_is_one_and_rare_classes_weigh_more(kind: Any) -> None:
    counts = np.array([10_000, 700, 30, 2])
    weights = weights_from_counts(kind, counts)
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1.0, rel=1e-12)
    assert (np.diff(weights) > 0).all()


def test_the_effective_number_lies_between_equal_and_inverse_weights() -> None:
    counts = np.array([1000, 100, 10])
    assert weights_from_counts("effective_number", counts, 0.0).tolist() == [1.0, 1.0, 1.0]
    nearly = weights_from_counts("effective_number", counts, 1 - 1e-9)
    assert nearly.tolist() == pytest.approx(weights_from_counts("inverse", counts).tolist(), rel=1e-5)


def test_no_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^class weights need boxes"):
        weights_from_counts("inverse", np.zeros(3, np.int64))


@pytest.mark.parametrize("loss", FAMILY, ids=lambda loss: loss.__name__)
@pytest.mark.parametrize("weighted", [False, True])
def test_an_anchor_counts_as_much_as_its_class(loss: Any, weighted: bool) -> None:
    """All its outputs do; background and what is ignored count as ever."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 30, 3, generator=generator).requires_grad_()
    labels = torch.randint(-2, 3, (2, 30), generator=generator)
    quality = torch.rand(2, 30, generator=generator)
    weights = torch.rand(2, 30, generator=generator) if weighted else None
    plain, by_class = loss(), loss(class_weights=WEIGHTS, num_classes=3)
    of_anchors = torch.tensor([*WEIGHTS, 1.0, 1.0])[labels]  # -1 and -2 are the last two
    expected = plain(logits, labels, weights, quality, by_anchor=True) * of_anchors
    torch.testing.assert_close(by_class(logits, labels, weights, quality, by_anchor=True), expected)
    (slopes,) = torch.autograd.grad(expected.sum(), logits)
    (found,) = torch.autograd.grad(by_class(logits, labels, weights, quality), logits)
    torch.testing.assert_close(found, slopes)
    assert (labels == -2).any()
    assert (labels == -1).any()


@pytest.mark.parametrize("loss", FAMILY, ids=lambda loss: loss.__name__)
def test_a_compiler_finds_one_graph_for_any_number_of_anchors(loss: Any) -> None:
    torch._dynamo.reset()
    graphs = []

    def count(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    weighted = loss(class_weights=WEIGHTS)
    compiled = torch.compile(weighted.__call__, fullgraph=True, dynamic=True, backend=count)
    for anchors in (5, 6, 7):
        logits, labels = torch.randn(anchors, 3, requires_grad=True), torch.arange(anchors) % 5 - 2
        quality = torch.linspace(0, 1, anchors)
        arguments = (logits, labels, None, quality)
        torch.testing.assert_close(compiled(*arguments), weighted(*arguments))
    assert len(graphs) == 1


def test_without_class_weights_the_weights_stay_what_they_are() -> None:
    weights = torch.rand(4)
    assert ClassWeights().times(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64), weights) is weights


@pytest.mark.parametrize("kind", ["inverse", "sqrt", "effective_number"])
def test_weights_that_are_not_computed_yet_give_no_loss(kind: Any) -> None:
    loss = FocalLoss(class_weights=kind)
    with pytest.raises(ConfigError, match=rf"CLASS_WEIGHTS is '{kind}', which a training turns into numbers.*give a list"):
        loss(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"CLASS_WEIGHTS": [1.0, 2.0]}, r"class_weights expects a number for each of the 3 classes, got 2"),
        ({"CLASS_WEIGHTS": [1.0, 2.0, -1.0]}, r"class_weights expects finite numbers, 0 or more, got \[1\.0, 2\.0, -1\.0\]"),
        ({"CLASS_WEIGHTS": "inverted"}, r"CLASS_WEIGHTS: .*'inverted'"),
        ({"EFFECTIVE_NUMBER_BETA": 1.0}, r"effective_number_beta expects a number from 0 to below 1, got 1\.0"),
        ({"ALPHA": [0.25, 0.5]}, r"alpha expects a number for each of the 3 classes, got 2"),
        ({"ALPHA": [0.25, 0.5, 1.5]}, r"alpha in 0\.\.1 or null, got 2\.0 and \[0\.25, 0\.5, 1\.5\]"),
    ],
)
def test_what_is_wrong_in_a_config_is_named(node: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LOSSES.build({"NAME": "FocalLoss", **node}, "MODEL.LOSSES.CLASSIFICATION", num_classes=3)


def test_logits_of_another_number_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="class_weights has 3 numbers, and the logits are of 2 classes"):
        FocalLoss(class_weights=WEIGHTS)(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
