"""Alpha by class: in every implementation the reference's numbers, and torchvision's, class by class."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchvision import ops

from dettoolkit.errors import ConfigError
from dettoolkit.evaluation.analysis import FocalObserver, FocalSetting
from dettoolkit.modeling.losses import CrossEntropyLoss, FocalLoss, FocalStarLoss
from dettoolkit.modeling.losses.kernels import ENVIRONMENT_VARIABLE
from dettoolkit.modeling.losses.reference import Reference, focal, focal_star, reference_losses

ALPHA = [0.1, 0.25, 0.5, 0.9, 1.0]
FAMILY: list[tuple[Any, Reference]] = [
    (FocalLoss(ALPHA, 2.0), focal(torch.tensor(ALPHA, dtype=torch.float64), 2.0)),
    (FocalLoss(ALPHA, 0.5), focal(torch.tensor(ALPHA, dtype=torch.float64), 0.5)),
    (CrossEntropyLoss(ALPHA), focal(torch.tensor(ALPHA, dtype=torch.float64), 0.0)),
    (FocalStarLoss(2.0, 1.0, ALPHA), focal_star(2.0, 1.0, torch.tensor(ALPHA, dtype=torch.float64))),
]
family = pytest.mark.parametrize(("loss", "reference"), FAMILY, ids=lambda each: type(each).__name__)
ROUNDING = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 2**-8, torch.float16: 2**-10}


def example(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits ``[2, 40, 5]``, labels of all kinds, and weights."""
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(2, 40, 5, generator=generator) * 3).to(dtype).requires_grad_()
    return logits, torch.randint(-2, 5, (2, 40), generator=generator), torch.rand(2, 40, generator=generator)


@family
@pytest.mark.parametrize("implementation", ["eager", "traced"])
@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("by_anchor", [False, True], ids=["sum", "by anchor"])
def test_every_implementation_is_the_reference(
    loss: Any, reference: Reference, implementation: str, dtype: torch.dtype, by_anchor: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, implementation)
    logits, labels, weights = example(dtype)
    wide = logits.detach().double().requires_grad_()
    expected = reference_losses(reference, wide, labels, weights)
    (slopes,) = torch.autograd.grad(expected.sum(), wide)
    found = loss(logits, labels, weights, by_anchor=by_anchor)
    rtol = 1e-10 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found.double(), expected if by_anchor else expected.sum(), rtol=rtol, atol=1e-6)
    (slope,) = torch.autograd.grad(found.sum(), logits)
    torch.testing.assert_close(slope.double(), slopes, rtol=ROUNDING[dtype], atol=1e-6)


def test_each_class_is_torchvisions_with_its_alpha() -> None:
    logits, labels, _ = example()
    one_hot = (functional.one_hot(labels.clamp(min=0), 5) * (labels >= 0)[..., None]).float()
    counted = labels != -2
    columns = [ops.sigmoid_focal_loss(logits[..., k], one_hot[..., k], a, 2.0) for k, a in enumerate(ALPHA)]
    expected = (torch.stack(columns, dim=-1).sum(-1) * counted).sum()
    torch.testing.assert_close(FocalLoss(ALPHA)(logits, labels), expected)


@pytest.mark.parametrize("implementation", ["eager", "traced"])
def test_the_same_alpha_for_each_class_is_one_alpha(implementation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, implementation)
    logits, labels, weights = example()
    one, each = FocalLoss(0.25), FocalLoss([0.25] * 5)
    torch.testing.assert_close(each(logits, labels, weights), one(logits, labels, weights), rtol=1e-6, atol=0)


@family
def test_a_compiler_finds_one_graph(loss: Any, reference: Reference) -> None:
    torch._dynamo.reset()
    logits, labels, weights = example()
    compiled = torch.compile(loss.__call__, fullgraph=True, dynamic=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits, labels, weights), loss(logits, labels, weights))


def test_logits_of_another_number_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^alpha has 5 numbers, and the logits are of 3 classes$"):
        FocalLoss(ALPHA)(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64))


@pytest.mark.parametrize("loss", [FocalLoss(ALPHA), FocalLoss(class_weights=[1.0, 2.0, 4.0])], ids=["alpha", "weights"])
def test_the_focal_microscope_refuses_what_is_not_the_same_for_each_class(loss: Any) -> None:
    with pytest.raises(ConfigError, match="FocalMicroscope expects"):
        FocalObserver(loss)


def test_who_asks_for_one_alpha_is_told_the_mean() -> None:
    assert FocalSetting.of(FocalLoss([0.25, 0.75]), None).alpha == 0.5
