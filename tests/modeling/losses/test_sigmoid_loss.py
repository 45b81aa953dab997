"""All losses over sigmoid outputs against the reference in float64, and what they owe the criterion."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from dettoolkit.modeling.losses import (
    CrossEntropyLoss,
    FocalLoss,
    FocalStarLoss,
    HingeLoss,
    QualityFocalLoss,
    VarifocalLoss,
)
from dettoolkit.modeling.losses.kernels import eager
from dettoolkit.modeling.losses.reference import (
    Reference,
    focal,
    focal_star,
    hinge,
    quality_focal,
    reference_losses,
    varifocal,
)
from dettoolkit.registry import LOSSES

FAMILY: list[tuple[Any, Reference]] = [
    *((FocalLoss(alpha, gamma), focal(alpha, gamma)) for alpha in (None, 0.25, 0.75) for gamma in (0.0, 0.5, 1.0, 2.0, 5.0)),
    *((CrossEntropyLoss(alpha), focal(alpha, 0.0)) for alpha in (None, 0.25, 0.75, 0.999)),
    *(
        (FocalStarLoss(gamma, beta, alpha), focal_star(gamma, beta, alpha))
        for gamma, beta, alpha in ((2.0, 1.0, 0.25), (4.0, 0.0, 0.25), (1.5, -0.5, None))
    ),
    *((HingeLoss(margin), hinge(margin)) for margin in (0.3, 0.5, 1.0)),
    *((QualityFocalLoss(beta), quality_focal(beta)) for beta in (0.0, 1.0, 2.0, 2.5)),
    *(
        (VarifocalLoss(alpha, gamma), varifocal(alpha, gamma))
        for alpha, gamma in ((0.75, 2.0), (1.25, 0.0), (0.0, 1.0), (0.5, 0.5))
    ),
]
IDS = ["-".join(map(str, (type(loss).__name__, *vars(loss).values()))) for loss, _ in FAMILY]
ONE_OF_EACH = [loss for loss, _ in {type(loss): (loss, formula) for loss, formula in FAMILY}.values()]
family = pytest.mark.parametrize(("loss", "formula"), FAMILY, ids=IDS)
one_of_each = pytest.mark.parametrize("loss", ONE_OF_EACH, ids=lambda loss: type(loss).__name__)


def example(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Return logits ``[..., K]``, labels of all kinds, and qualities with the bounds 0 and 1 among them."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(-2, shape[-1], shape[:-1], generator=generator)
    quality = (torch.rand(shape[:-1], generator=generator) * 1.4 - 0.2).clamp(0, 1)
    return logits.to(dtype).requires_grad_(), labels, {"quality": quality}


def expected(formula: Reference, logits: Tensor, labels: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses ``[...]`` and the gradient of their sum, by autograd, in float64."""
    x = logits.detach().double().requires_grad_()
    losses = reference_losses(formula, x, labels, quality=quality)
    return losses.detach(), torch.autograd.grad(losses.sum(), x)[0]


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss.sum(), logits)[0]


def test_the_family_is_all_classification_losses() -> None:
    registered = {cls for _, cls in LOSSES if cls.__module__.startswith("dettoolkit.") and hasattr(cls, "needs_quality")}
    assert {type(loss) for loss, _ in FAMILY} == registered


@family
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_value_and_gradient_are_the_formula_s(loss: Any, formula: Reference, dtype: torch.dtype) -> None:
    logits, labels, kind = example(3, 40, 4, dtype=dtype)
    assert {-2, -1, 0} <= set(labels.flatten().tolist())
    ours = loss(logits, labels, by_anchor=True, **kind)
    values, slopes = expected(formula, logits, labels, **kind)
    wide = dtype == torch.float64
    assert ours.dtype == (torch.float64 if wide else torch.float32)
    torch.testing.assert_close(ours.double(), values, rtol=1e-6 if wide else 1e-5, atol=1e-9 if wide else 1e-6)
    slope = gradient(ours, logits)
    assert slope.dtype == dtype
    rtol = {torch.float64: 1e-6, torch.float32: 1e-4, torch.bfloat16: 2**-8, torch.float16: 2**-10}[dtype]
    torch.testing.assert_close(slope.double(), slopes, rtol=rtol, atol=1e-9 if wide else 1e-6)


@family
def test_gradient_is_the_slope_of_the_value(loss: Any, formula: Reference) -> None:
    logits, labels, kind = example(6, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, **kind), logits)


@family
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_huge_logits_are_finite(loss: Any, formula: Reference, dtype: torch.dtype) -> None:
    rows, labels, quality = zip(
        *itertools.product((1e4, -1e4, 104.0, -104.0, 88.0, -88.0), (-2, -1, 0, 1), (0.0, 0.5, 1.0)), strict=True
    )
    logits = torch.tensor([[x, -x] for x in rows], dtype=dtype, requires_grad=True)
    value = loss(logits, torch.tensor(labels), quality=torch.tensor(quality))
    assert value.isfinite()
    assert gradient(value, logits).isfinite().all()


@one_of_each
def test_logits_in_any_layout_are_the_same(loss: Any) -> None:
    logits, labels, kind = example(2, 50, 4)
    strided = logits.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    assert not strided.is_contiguous()
    torch.testing.assert_close(loss(strided, labels, **kind), loss(logits, labels, **kind))
    slope = gradient(loss(logits, labels, **kind), logits)
    torch.testing.assert_close(gradient(loss(strided, labels, **kind), strided), slope)


@one_of_each
@pytest.mark.parametrize("shape", [(0, 5), (2, 0, 5)])
def test_no_anchors_give_a_loss_of_zero(loss: Any, shape: tuple[int, ...]) -> None:
    logits = torch.zeros(shape, requires_grad=True)
    labels = torch.zeros(shape[:-1], dtype=torch.int64)
    value = loss(logits, labels, quality=labels.float())
    assert value.item() == 0
    assert gradient(value, logits).shape == shape


@one_of_each
def test_ignored_anchors_have_exactly_no_loss_and_no_gradient(loss: Any) -> None:
    logits, labels, kind = example(200, 6)
    losses = loss(logits, labels, by_anchor=True, **kind)
    slope = gradient(losses, logits)
    ignored = labels == -2
    assert 0 < ignored.sum() < 200
    assert (losses[ignored] == 0).all()
    assert (slope[ignored] == 0).all()
    assert (slope[~ignored] != 0).any(-1).all()


@one_of_each
def test_weights_multiply_loss_and_gradient_of_their_anchor(loss: Any) -> None:
    logits, labels, kind = example(30, 3)
    weights = torch.linspace(0, 3, 30)
    plain = loss(logits, labels, by_anchor=True, **kind)
    torch.testing.assert_close(loss(logits, labels, weights, by_anchor=True, **kind), plain * weights)
    total = loss(logits, labels, weights, **kind)
    torch.testing.assert_close(total, (plain * weights).sum())
    torch.testing.assert_close(gradient(total, logits), gradient(plain, logits) * weights[:, None])


@one_of_each
@pytest.mark.parametrize("chunk", [1, 12, 44])  # of 10 rows of 4 classes
def test_chunks_make_no_difference(loss: Any, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels, kind = example(10, 4)
    whole = loss(logits, labels, by_anchor=True, **kind)
    monkeypatch.setattr(eager, "_CHUNK", chunk)
    parts = loss(logits, labels, by_anchor=True, **kind)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(gradient(parts, logits), gradient(whole, logits))


@one_of_each
def test_a_second_derivative_is_refused(loss: Any) -> None:
    logits, labels, kind = example(3, 2)
    with pytest.raises(RuntimeError, match="differentiated once only"):
        torch.autograd.grad(loss(logits, labels, **kind), logits, create_graph=True)


@one_of_each
def test_a_quality_has_no_gradient(loss: Any) -> None:
    logits, labels, kind = example(9, 2)
    quality = kind["quality"].requires_grad_()
    (slope,) = torch.autograd.grad(loss(logits, labels, quality=quality), quality, allow_unused=True)
    assert slope is None


@one_of_each
def test_shapes_that_do_not_agree_are_named(loss: Any) -> None:
    labels, good = torch.zeros(4, dtype=torch.int64), torch.ones(4)
    with pytest.raises(ValueError, match=r"labels \[\.\.\.\], got \[2, 3\] and \[4\]"):
        loss(torch.zeros(2, 3), labels, quality=good)
    with pytest.raises(ValueError, match=r"weights \[\.\.\.\] as labels, got \[4, 1\] and \[4\]"):
        loss(torch.zeros(4, 3), labels, torch.ones(4, 1), quality=good)


@pytest.mark.parametrize("loss", [QualityFocalLoss(), VarifocalLoss()], ids=lambda loss: type(loss).__name__)
def test_a_quality_is_asked_for(loss: Any) -> None:
    assert loss.needs_quality
    labels = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(ValueError, match=rf"{type(loss).__name__} expects quality \[\.\.\.\], a number in 0\.\.1"):
        loss(torch.zeros(4, 3), labels)
    with pytest.raises(ValueError, match=r"quality \[\.\.\.\] as labels, got \[3\] and \[4\]"):
        loss(torch.zeros(4, 3), labels, quality=torch.ones(3))
