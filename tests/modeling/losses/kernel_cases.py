"""What test_triton_pass.py runs in a process of its own: the Triton kernel against the reference.

On a CUDA device where there is one, else in Triton's interpreter, which must be asked for before Triton is imported:
``TRITON_INTERPRET=1 pytest tests/modeling/losses/kernel_cases.py``.
"""

from __future__ import annotations

import os
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
    sigmoid_focal_loss,
)
from dettoolkit.modeling.losses.kernels import ENVIRONMENT_VARIABLE, triton_pass
from dettoolkit.modeling.losses.reference import (
    Reference,
    focal,
    focal_star,
    hinge,
    quality_focal,
    reference_losses,
    varifocal,
)

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
FAMILY: list[tuple[Any, Reference]] = [
    *((FocalLoss(0.25, gamma), focal(0.25, gamma)) for gamma in (0.0, 0.5, 1.0, 2.0, 5.0)),
    (FocalLoss(None, 2.0), focal(None, 2.0)),
    (CrossEntropyLoss(), focal(None, 0.0)),
    (FocalStarLoss(4.0, 0.5, 0.25), focal_star(4.0, 0.5, 0.25)),
    (HingeLoss(0.6), hinge(0.6)),
    *((QualityFocalLoss(beta), quality_focal(beta)) for beta in (0.0, 1.0, 2.0, 2.5)),
    *((VarifocalLoss(0.75, gamma), varifocal(0.75, gamma)) for gamma in (2.0, 0.5)),
]
IDS = ["-".join(map(str, (type(loss).__name__, *vars(loss).values()))) for loss, _ in FAMILY]
# devices round to the nearest bfloat16, the interpreter cuts digits off
ROUNDING = {torch.float32: 1e-4, torch.bfloat16: 2**-7 if DEVICE == "cpu" else 2**-8, torch.float16: 2**-10}


@pytest.fixture(autouse=True)
def _by_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "triton")


def example(*shape: int, dtype: torch.dtype = torch.float32, spread: float = 3.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return logits ``[..., K]``, labels of all kinds, weights, and qualities with the bounds 0 and 1 among them."""
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(shape, generator=generator) * spread).to(DEVICE, dtype)
    labels = torch.randint(-2, shape[-1], shape[:-1], generator=generator).to(DEVICE)
    weights = torch.rand(shape[:-1], generator=generator).to(DEVICE)
    quality = (torch.rand(shape[:-1], generator=generator) * 1.4 - 0.2).clamp(0, 1).to(DEVICE)
    return logits.requires_grad_(), labels, weights, quality


def check(loss: Any, reference: Reference, logits: Tensor, labels: Tensor, weights: Tensor | None, quality: Tensor) -> None:
    """Compare sums, losses by anchor, and gradients with the reference."""
    wide = logits.detach().double().requires_grad_()
    expected = reference_losses(reference, wide, labels, weights, quality)
    (slopes,) = torch.autograd.grad(expected.sum(), wide)
    by_anchor, total = (loss(logits, labels, weights, quality, by_anchor=each) for each in (True, False))
    assert by_anchor.dtype == total.dtype == torch.float32
    torch.testing.assert_close(by_anchor.double(), expected.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(total.double(), expected.detach().sum(), rtol=1e-5, atol=1e-6)
    for value in (by_anchor.sum(), total):
        (slope,) = torch.autograd.grad(value, logits)
        assert slope.dtype == logits.dtype
        torch.testing.assert_close(slope.double(), slopes, rtol=ROUNDING[logits.dtype], atol=1e-6)


@pytest.mark.parametrize(("loss", "reference"), FAMILY, ids=IDS)
def test_every_formula_is_the_reference_s(loss: Any, reference: Reference) -> None:
    check(loss, reference, *example(2, 40, 5))


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("classes", [1, 3, 20, 80, 91])
def test_every_dtype_and_number_of_classes(dtype: torch.dtype, classes: int) -> None:
    check(FocalLoss(), focal(0.25, 2.0), *example(3, 30, classes, dtype=dtype))


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("classes", [1, 5, 91])
def test_alpha_by_class(dtype: torch.dtype, classes: int) -> None:
    alpha = torch.linspace(0.1, 1.0, classes).tolist()
    given = torch.tensor(alpha, dtype=torch.float64, device=DEVICE)
    check(FocalLoss(alpha, 2.0), focal(given, 2.0), *example(3, 30, classes, dtype=dtype))
    check(FocalStarLoss(2.0, 1.0, alpha), focal_star(2.0, 1.0, given), *example(3, 30, classes, dtype=dtype))


def test_many_classes_and_more_rows_than_a_program_takes() -> None:
    check(FocalLoss(), focal(0.25, 2.0), *example(1, 40, 1203))  # 32 rows a program


@pytest.mark.parametrize("shape", [(7,), (9, 7), (2, 3, 4, 7)])
def test_any_number_of_dimensions(shape: tuple[int, ...]) -> None:
    check(FocalLoss(), focal(0.25, 2.0), *example(*shape))


@pytest.mark.parametrize("gamma", [0.0, 2.0, 5.0])
def test_logits_of_a_hundred(gamma: float) -> None:
    logits, labels, weights, quality = example(60, 4)
    large = (logits.detach().sign() * 100).requires_grad_()
    check(FocalLoss(0.25, gamma), focal(0.25, gamma), large, labels, weights, quality)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
def test_huge_logits_give_a_linear_loss_where_wrong_and_zero_where_right(dtype: torch.dtype) -> None:
    # -log(sigmoid(-8192)) is 8192, its slope 1; alpha 0.25 for positives, 0.75 for negatives
    logits = torch.tensor([[-8192.0], [8192.0], [8192.0], [-8192.0]], dtype=dtype, device=DEVICE, requires_grad=True)
    losses = sigmoid_focal_loss(logits, torch.tensor([0, -1, 0, -1], device=DEVICE), by_anchor=True)
    assert losses.tolist() == [2048.0, 6144.0, 0.0, 0.0]
    assert torch.autograd.grad(losses.sum(), logits)[0].flatten().tolist() == [-0.25, 0.75, 0.0, 0.0]


@pytest.mark.parametrize(("loss", "reference"), FAMILY, ids=IDS)
def test_huge_logits_are_finite(loss: Any, reference: Reference) -> None:
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [88.0, -88.0], [104.0, -104.0]], device=DEVICE, requires_grad=True)
    for label in (-1, 0, 1):
        value = loss(logits, torch.full((4,), label, device=DEVICE), quality=torch.full((4,), 0.5, device=DEVICE))
        assert value.isfinite()
        assert torch.autograd.grad(value, logits)[0].isfinite().all()


def strided(kind: str) -> Tensor:
    """Return logits ``[2, 12, 6]`` in the memory order of ``kind``."""
    values = torch.randn(2, 12, 6, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    if kind == "a level out of all":
        return torch.cat([values, values, values], dim=1)[:, 12:24]
    if kind == "classes first":
        return values.transpose(1, 2).contiguous().transpose(1, 2)
    if kind == "every second class":
        return values.repeat_interleave(2, dim=-1)[..., ::2]
    if kind == "one image for all":
        return values[:1].expand(2, 12, 6)
    weight = torch.zeros(36, 6, 1, 1, device=DEVICE)  # a channels-last convolution: [2, 6, 2, 2] -> 9 anchors of 4 classes
    weight[torch.arange(36), torch.arange(36) % 6] = 1
    maps = torch.nn.functional.conv2d(values.reshape(2, 6, 3, 4).to(memory_format=torch.channels_last), weight)
    return maps.permute(0, 2, 3, 1).view(2, -1, 6)  # a view: anything else raises


KINDS = ["a level out of all", "classes first", "every second class", "one image for all", "a channels-last convolution"]


@pytest.mark.parametrize("kind", KINDS)
def test_strides_are_followed(kind: str) -> None:
    logits = strided(kind).requires_grad_()
    _, labels, weights, quality = example(2, 3 * logits.shape[1], 6)
    part = slice(logits.shape[1], 2 * logits.shape[1])  # of labels by level, not contiguous either
    factors = weights[:, :1].expand(2, logits.shape[1])
    check(FocalLoss(), focal(0.25, 2.0), logits, labels[:, part], factors, quality[:, part])
    check(QualityFocalLoss(), quality_focal(2.0), logits, labels[:, part], factors, quality[:, part])


def test_offsets_beyond_32_bits() -> None:
    # two rows that are 2^31 elements apart; only the pages that are touched take memory
    rows = torch.empty(2**31 + 8, dtype=torch.bfloat16, device=DEVICE).as_strided((2, 8), (2**31, 1))
    rows.copy_(torch.linspace(-4, 4, 16).reshape(2, 8))
    labels, ones = torch.tensor([3, -1], device=DEVICE), torch.ones(2, device=DEVICE)
    check(FocalLoss(), focal(0.25, 2.0), rows.requires_grad_(), labels, None, ones)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e4])
def test_ignored_anchors_have_exactly_no_loss_and_no_gradient(value: float) -> None:
    logits, labels, _, _ = example(50, 6)
    broken = torch.where((labels == -2)[:, None], value, logits.detach()).requires_grad_()
    losses = sigmoid_focal_loss(broken, labels, by_anchor=True)
    (slope,) = torch.autograd.grad(sigmoid_focal_loss(broken, labels), broken)
    assert 0 < (labels == -2).sum() < 50
    assert (losses[labels == -2] == 0).all()
    assert (slope[labels == -2] == 0).all()
    assert (slope[labels != -2] != 0).all()


def test_a_label_of_no_class_makes_the_loss_nan() -> None:
    losses = sigmoid_focal_loss(torch.zeros(3, 2, device=DEVICE), torch.tensor([0, 2, -1], device=DEVICE), by_anchor=True)
    assert losses.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("shape", [(0, 5), (2, 0, 5)])
def test_no_anchors_give_a_loss_of_zero(shape: tuple[int, ...]) -> None:
    logits = torch.zeros(shape, device=DEVICE, requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.zeros(shape[:-1], dtype=torch.int64, device=DEVICE))
    assert loss.item() == 0
    assert torch.autograd.grad(loss, logits)[0].shape == shape


def test_without_gradient_there_is_none_and_the_same_loss() -> None:
    logits, labels, weights, _ = example(40, 5)
    loss = sigmoid_focal_loss(logits.detach(), labels, weights=weights)
    assert not loss.requires_grad
    assert loss.item() == sigmoid_focal_loss(logits, labels, weights=weights).item()


def test_the_sum_is_the_same_in_each_call() -> None:
    logits, labels, _, _ = example(3000, 5)
    assert len({sigmoid_focal_loss(logits, labels).item() for _ in range(3)}) == 1


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("scale", [1.0, 0.25, 65536.0])
def test_scaled_losses_have_scaled_gradients(dtype: torch.dtype, scale: float) -> None:
    logits, labels, weights, _ = example(40, 5, dtype=dtype, spread=1.0)
    weights = weights * 1e-3  # what float16 would lose without a scale
    wide = logits.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(reference_losses(focal(0.25, 2.0), wide, labels, weights).sum() * scale, wide)
    (slope,) = torch.autograd.grad(sigmoid_focal_loss(logits, labels, weights=weights) * scale, logits)
    torch.testing.assert_close(slope.double(), expected, rtol=2 * ROUNDING[dtype], atol=1e-7)


def test_every_backward_pass_through_one_graph_is_right() -> None:
    logits, labels, _, _ = example(40, 5)
    loss = sigmoid_focal_loss(logits, labels)
    first, second = (torch.autograd.grad(loss * 2, logits, retain_graph=True)[0] for _ in range(2))
    (last,) = torch.autograd.grad(loss * 2, logits)
    assert torch.equal(first, second)
    assert torch.equal(first, last)


def test_a_second_derivative_is_refused() -> None:
    logits, labels, _, _ = example(3, 2)
    with pytest.raises(RuntimeError, match="differentiated once only"):
        torch.autograd.grad(sigmoid_focal_loss(logits, labels), logits, create_graph=True)


def test_scaling_goes_beyond_one_program() -> None:
    values = torch.ones(triton_pass._SCALED_BY_A_PROGRAM + 5, device=DEVICE)
    assert (triton_pass.scale_in_place(values, torch.tensor(3.0, device=DEVICE)) == 3).all()
