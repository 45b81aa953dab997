"""Losses under torch.compile: one graph, and the reference's numbers."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
from torch import Tensor

from dettoolkit.modeling.losses import FocalLoss, FocalStarLoss, HingeLoss, QualityFocalLoss, VarifocalLoss, sigmoid_focal_loss
from dettoolkit.modeling.losses.kernels import ENVIRONMENT_VARIABLE
from dettoolkit.modeling.losses.reference import (
    Reference,
    focal,
    focal_star,
    hinge,
    quality_focal,
    reference_losses,
    varifocal,
)

FAMILY: list[tuple[Any, Reference]] = [
    (FocalLoss(), focal(0.25, 2.0)),
    (FocalLoss(None, 0.5), focal(None, 0.5)),
    (FocalStarLoss(), focal_star(2.0, 1.0, 0.25)),
    (HingeLoss(), hinge(0.5)),
    (QualityFocalLoss(), quality_focal(2.0)),
    (VarifocalLoss(), varifocal(0.75, 2.0)),
]
family = pytest.mark.parametrize(("loss", "reference"), FAMILY, ids=lambda each: type(each).__name__)


def example(dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    """Return logits ``[2, 40, 5]``, labels of all kinds, weights and qualities."""
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(2, 40, 5, generator=generator) * 3).to(dtype).requires_grad_()
    labels = torch.randint(-2, 5, (2, 40), generator=generator)
    return logits, labels, *torch.rand(2, 2, 40, generator=generator)


def check(function: Any, reference: Reference, dtype: torch.dtype, by_anchor: bool) -> None:
    logits, labels, weights, quality = example(dtype)
    wide = logits.detach().double().requires_grad_()
    expected = reference_losses(reference, wide, labels, weights, quality)
    (slopes,) = torch.autograd.grad(expected.sum(), wide)
    found = function(logits, labels, weights, quality, by_anchor)
    torch.testing.assert_close(found.double(), expected if by_anchor else expected.sum(), rtol=1e-5, atol=1e-6)
    (slope,) = torch.autograd.grad(found.sum(), logits)
    assert slope.dtype == dtype
    rtol = {torch.float32: 1e-4, torch.bfloat16: 2**-8, torch.float16: 2**-10}[dtype]
    torch.testing.assert_close(slope.double(), slopes, rtol=rtol, atol=1e-6)


@family
@pytest.mark.parametrize("by_anchor", [False, True], ids=["sum", "by anchor"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_what_is_traced_is_the_reference(
    loss: Any, reference: Reference, dtype: torch.dtype, by_anchor: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "traced")
    check(loss, reference, dtype, by_anchor)


@family
def test_tracing_finds_one_graph(loss: Any, reference: Reference) -> None:
    torch._dynamo.reset()
    check(torch.compile(loss.__call__, fullgraph=True, backend="aot_eager"), reference, torch.float32, by_anchor=False)


def test_the_graph_does_not_grow_with_the_logits() -> None:
    sizes = []

    def count(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        sizes.append(sum(len(list(each.graph.nodes)) for each in graph.modules() if isinstance(each, torch.fx.GraphModule)))
        return graph

    for anchors in (10, 10_000):  # three chunks of the eager way
        torch._dynamo.reset()
        logits, labels = torch.zeros(anchors, 80, requires_grad=True), torch.zeros(anchors, dtype=torch.int64)
        torch.compile(sigmoid_focal_loss, fullgraph=True, backend=count)(logits, labels)
    assert sizes[0] == sizes[1]


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for the CPU needs a C++ compiler")
def test_compiled_by_inductor_it_is_the_reference() -> None:
    torch._dynamo.reset()
    check(torch.compile(FocalLoss().__call__, fullgraph=True), focal(0.25, 2.0), torch.float32, by_anchor=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e4])
def test_ignored_anchors_may_hold_anything(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "traced")
    logits = torch.tensor([[value, value], [0.5, -0.5]], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([-2, 1]), weights=torch.tensor([2.0, 1.0]))
    assert loss.item() == pytest.approx(sigmoid_focal_loss(logits[1:], torch.tensor([1])).item(), rel=1e-6)
    assert torch.autograd.grad(loss, logits)[0][0].tolist() == [0.0, 0.0]


def test_huge_logits_give_a_linear_loss_where_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    # the label's own 1e4 costs nothing, and must not swallow what the other class costs: 0.75 * 0.25 * log(2)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "traced")
    logits = torch.tensor([[1e4, 0.0]], requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([0]))
    assert loss.item() == pytest.approx(0.1875 * 0.693147, rel=1e-5)


def test_a_label_of_no_class_makes_the_loss_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "traced")
    losses = sigmoid_focal_loss(torch.zeros(3, 2), torch.tensor([0, 2, -1]), by_anchor=True)
    assert losses.isnan().tolist() == [False, True, False]
