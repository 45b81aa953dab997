"""Focal loss against torchvision's and by the properties of the formula; the paper's are in test_paper_statements.py."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchvision import ops

from dettoolkit.modeling.losses import FocalLoss, sigmoid_focal_loss

SIZES = [(6,), (5, 1), (2, 7, 3), (2, 3, 4, 80)]  # [..., K]


def by_torchvision(logits: Tensor, labels: Tensor, alpha: float | None, gamma: float) -> Tensor:
    """Return ``[...]`` losses from a one-hot target."""
    target = functional.one_hot(labels.clamp(min=0), logits.shape[-1]) * (labels >= 0)[..., None]
    losses = ops.sigmoid_focal_loss(logits, target.to(logits.dtype), -1 if alpha is None else alpha, gamma)
    return losses.sum(-1) * (labels != -2)


def example(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return logits ``[..., K]``, and labels with positives, negatives and ignored ones among them."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(-2, shape[-1], shape[:-1], generator=generator)
    return logits.to(dtype).requires_grad_(), labels


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("alpha", [None, 0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_value_and_gradient_are_torchvisions(shape: tuple[int, ...], alpha: float | None, gamma: float) -> None:
    logits, labels = example(*shape)
    ours, theirs = sigmoid_focal_loss(logits, labels, alpha, gamma), by_torchvision(logits, labels, alpha, gamma).sum()
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient(ours, logits), gradient(theirs, logits), rtol=1e-4, atol=1e-6)


def test_losses_by_anchor_are_torchvisions() -> None:
    logits, labels = example(2, 50, 4)
    ours = sigmoid_focal_loss(logits, labels, by_anchor=True)
    assert ours.shape == (2, 50)
    torch.testing.assert_close(ours, by_torchvision(logits, labels, 0.25, 2.0), rtol=1e-5, atol=1e-6)


def test_float64_stays_float64() -> None:
    logits, labels = example(40, 3, dtype=torch.float64)
    ours, theirs = sigmoid_focal_loss(logits, labels), by_torchvision(logits, labels, 0.25, 2.0).sum()
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=0)
    torch.testing.assert_close(gradient(ours, logits), gradient(theirs, logits), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
def test_half_precision_logits_are_computed_in_float32(dtype: torch.dtype, rounding: float) -> None:
    logits, labels = example(30, 5, dtype=dtype)
    wide = logits.detach().float().requires_grad_()
    ours, theirs = sigmoid_focal_loss(logits, labels), by_torchvision(wide, labels, 0.25, 2.0).sum()
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    slope = gradient(ours, logits)
    assert slope.dtype == dtype
    torch.testing.assert_close(slope.float(), gradient(theirs, wide), rtol=2 * rounding, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_gradient_is_the_slope_of_the_value(alpha: float | None, gamma: float) -> None:
    logits, labels = example(8, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: sigmoid_focal_loss(x, labels, alpha, gamma), logits)


def test_gamma_zero_without_alpha_is_cross_entropy() -> None:
    logits, labels = example(20, 4)
    labels = labels.clamp(min=-1)
    target = functional.one_hot(labels.clamp(min=0), 4) * (labels >= 0)[:, None]
    expected = functional.binary_cross_entropy_with_logits(logits, target.float(), reduction="sum")
    torch.testing.assert_close(sigmoid_focal_loss(logits, labels, None, 0.0), expected)


def test_alpha_weighs_positives_and_its_rest_negatives() -> None:
    logits = torch.tensor([[0.7], [-0.4]])
    plain = sigmoid_focal_loss(logits, torch.tensor([0, -1]), None, by_anchor=True)
    weighted = sigmoid_focal_loss(logits, torch.tensor([0, -1]), 0.2, by_anchor=True)
    torch.testing.assert_close(weighted, plain * torch.tensor([0.2, 0.8]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
def test_huge_logits_give_a_linear_loss_where_wrong_and_zero_where_right(dtype: torch.dtype) -> None:
    # -log(sigmoid(-1e4)) is 1e4, its slope 1; alpha 0.25 for positives, 0.75 for negatives
    logits = torch.tensor([[-1e4], [1e4], [1e4], [-1e4]], dtype=dtype, requires_grad=True)
    losses = sigmoid_focal_loss(logits, torch.tensor([0, -1, 0, -1]), by_anchor=True)
    assert losses.tolist() == [2500.0, 7500.0, 0.0, 0.0]
    assert gradient(losses.sum(), logits).flatten().tolist() == [-0.25, 0.75, 0.0, 0.0]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_huge_logits_are_finite_for_every_gamma(gamma: float) -> None:
    logits = torch.tensor([[-1e4, 1e4], [1e4, -1e4], [88.0, -88.0], [104.0, -104.0]], requires_grad=True)
    for labels in itertools.product([-2, -1, 0, 1], repeat=4):
        loss = sigmoid_focal_loss(logits, torch.tensor(labels), 0.25, gamma)
        assert loss.isfinite()
        assert gradient(loss, logits).isfinite().all()


def test_background_alone_is_learned() -> None:
    logits, _ = example(12, 3)
    labels = torch.full((12,), -1)
    expected = by_torchvision(logits, labels, 0.25, 2.0).sum()
    torch.testing.assert_close(sigmoid_focal_loss(logits, labels), expected)
    assert (gradient(sigmoid_focal_loss(logits, labels), logits) > 0).all()


def test_ignored_anchors_have_exactly_no_loss_and_no_gradient() -> None:
    logits, labels = example(200, 6)
    losses = sigmoid_focal_loss(logits, labels, by_anchor=True)
    slope = gradient(losses.sum(), logits)
    ignored = labels == -2
    assert 0 < ignored.sum() < 200
    assert (losses[ignored] == 0).all()
    assert (slope[ignored] == 0).all()
    assert (slope[~ignored] != 0).all()


@pytest.mark.parametrize("value", [-1e4, 0.0, 1e4])
def test_nothing_but_ignored_anchors_gives_exactly_zero(value: float) -> None:
    logits = torch.full((5, 3), value, requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.full((5,), -2))
    assert loss.item() == 0
    assert (gradient(loss, logits) == 0).all()


def test_a_loss_scale_beyond_float16_spares_ignored_anchors() -> None:
    # 65536 is where torch's GradScaler starts, and infinite in float16
    logits = torch.full((2, 1), -4.0, dtype=torch.float16, requires_grad=True)
    slope = gradient(sigmoid_focal_loss(logits, torch.tensor([-1, -2])) * 65536, logits)
    wide = logits.detach().float().requires_grad_()
    expected = gradient(by_torchvision(wide, torch.tensor([-1, -2]), 0.25, 2.0).sum() * 65536, wide)
    assert slope[1].item() == 0
    torch.testing.assert_close(slope[0].float(), expected[0], rtol=2**-9, atol=0)


@pytest.mark.parametrize("shape", [(0, 5), (2, 0, 5)])
def test_no_anchors_give_a_loss_of_zero(shape: tuple[int, ...]) -> None:
    logits = torch.zeros(shape, requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.zeros(shape[:-1], dtype=torch.int64))
    assert loss.item() == 0
    assert gradient(loss, logits).shape == shape


def test_one_anchor_may_come_without_a_batch() -> None:
    logits, labels = example(4)[0], torch.tensor(2)
    expected = by_torchvision(logits, labels, 0.25, 2.0)
    torch.testing.assert_close(sigmoid_focal_loss(logits, labels, by_anchor=True), expected)


def strided(kind: str) -> Tensor:
    """Return logits ``[2, 3, 4, 6]`` that are not contiguous."""
    generator = torch.Generator().manual_seed(1)
    if kind == "a permuted map":
        return torch.randn(2, 6, 3, 4, generator=generator).permute(0, 2, 3, 1)
    if kind == "a permuted channels-last map":
        return torch.randn(2, 6, 3, 4, generator=generator).to(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    if kind == "every second class":
        return torch.randn(2, 3, 4, 12, generator=generator)[..., ::2]
    return torch.randn(3, 4, 6, generator=generator).expand(2, 3, 4, 6)


@pytest.mark.parametrize("kind", ["a permuted map", "a permuted channels-last map", "every second class", "an expanded tensor"])
def test_memory_order_does_not_matter(kind: str) -> None:
    logits = strided(kind).requires_grad_()
    plain = logits.detach().contiguous().requires_grad_()
    labels = torch.randint(-2, 6, (2, 3, 4), generator=torch.Generator().manual_seed(2))
    ours, expected = sigmoid_focal_loss(logits, labels), sigmoid_focal_loss(plain, labels)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(gradient(ours, logits), gradient(expected, plain))


@pytest.mark.parametrize("chunk", [1, 4, 12, 40, 44])  # of 10 rows of 4 classes
def test_chunks_make_no_difference(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = example(10, 4)
    whole = sigmoid_focal_loss(logits, labels, by_anchor=True)
    monkeypatch.setattr("dettoolkit.modeling.losses.kernels.eager._CHUNK", chunk)
    parts = sigmoid_focal_loss(logits, labels, by_anchor=True)
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close(gradient(parts.sum(), logits), gradient(whole.sum(), logits))


def test_more_rows_than_a_chunk_holds() -> None:
    logits, labels = example(2, 2000, 80)  # 320,000 elements, 3276 rows of 80 a chunk
    ours, theirs = sigmoid_focal_loss(logits, labels, by_anchor=True), by_torchvision(logits, labels, 0.25, 2.0)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient(ours.sum(), logits), gradient(theirs.sum(), logits), rtol=1e-4, atol=1e-6)


def test_weights_multiply_loss_and_gradient_of_their_anchor() -> None:
    logits, labels = example(4, 3)
    labels = torch.tensor([0, -1, 2, -2])
    weights = torch.tensor([1.0, 0.5, 0.0, 7.0])
    by_anchor = sigmoid_focal_loss(logits, labels, weights=weights, by_anchor=True)
    plain = sigmoid_focal_loss(logits, labels, by_anchor=True)
    torch.testing.assert_close(by_anchor, plain * weights)
    loss = sigmoid_focal_loss(logits, labels, weights=weights)
    torch.testing.assert_close(loss, (plain * weights).sum())
    torch.testing.assert_close(gradient(loss, logits), gradient(plain.sum(), logits) * weights[:, None])


def test_a_second_derivative_is_refused() -> None:
    logits, labels = example(3, 2)
    loss = sigmoid_focal_loss(logits, labels)
    with pytest.raises(RuntimeError, match="differentiated once only"):
        torch.autograd.grad(loss, logits, create_graph=True)


def test_logits_without_gradient_need_none() -> None:
    logits, labels = example(3, 2)
    assert not sigmoid_focal_loss(logits.detach(), labels).requires_grad


def test_shapes_that_do_not_agree_are_named() -> None:
    with pytest.raises(ValueError, match=r"labels \[\.\.\.\], got \[2, 3, 4\] and \[2, 4\]"):
        sigmoid_focal_loss(torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"weights \[\.\.\.\] as labels, got \[4, 1\] and \[4\]"):
        sigmoid_focal_loss(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64), weights=torch.ones(4, 1))


def test_a_label_of_no_class_is_refused() -> None:
    with pytest.raises(IndexError, match="3 is out of bounds"):  # Detectron2 writes background as K
        sigmoid_focal_loss(torch.zeros(1, 3), torch.tensor([3]))


@pytest.mark.parametrize(("alpha", "gamma"), [(-0.1, 2.0), (1.1, 2.0), (0.25, -1.0)])
def test_numbers_out_of_range_are_named(alpha: float, gamma: float) -> None:
    message = rf"expected gamma >= 0 and alpha in 0\.\.1 or \w+, got {gamma} and {alpha}"
    with pytest.raises(ValueError, match=message):
        sigmoid_focal_loss(torch.zeros(1, 1), torch.tensor([0]), alpha, gamma)
    with pytest.raises(ValueError, match=message):
        FocalLoss(alpha, gamma)


def test_the_component_is_the_function() -> None:
    logits, labels = example(9, 3)
    weights = torch.rand(9)
    loss = FocalLoss(alpha=0.4, gamma=1.5)
    assert not loss.needs_quality
    torch.testing.assert_close(loss(logits, labels, weights), sigmoid_focal_loss(logits, labels, 0.4, 1.5, weights))
    expected = sigmoid_focal_loss(logits, labels, 0.4, 1.5, by_anchor=True)
    torch.testing.assert_close(loss(logits, labels, by_anchor=True), expected)
    torch.testing.assert_close(FocalLoss()(logits, labels), sigmoid_focal_loss(logits, labels, 0.25, 2.0))
