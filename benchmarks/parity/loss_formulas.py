"""The family of losses against their papers' formulas, written down in float64 with one-hot targets and autograd."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from benchmarks.parity.comparison import Comparison, relative
from dettoolkit.modeling import losses
from dettoolkit.structures import IGNORED

Formula = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits, one-hot, quality [..., 1] -> elementwise losses


def compare() -> Iterator[Comparison]:
    """Yield each loss, value and gradient, in float32 against float64."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 7, generator=generator) * 4
    labels = torch.randint(-2, 7, (4000,), generator=generator)
    quality = torch.rand(4000, generator=generator)
    for name, (loss, reference, formula) in _FAMILY.items():
        ours, exact = logits.clone().requires_grad_(), logits.double().requires_grad_()
        value = loss(ours, labels, None, quality if loss.needs_quality else None)
        target = torch.nn.functional.one_hot(labels.clamp(min=0), 7).double() * (labels >= 0)[:, None]
        kept = (labels != IGNORED).double()[:, None]
        expected = (formula(exact, target, quality.double()[:, None]) * kept).sum()
        value.backward()
        expected.backward()
        yield Comparison(f"{name}, value", reference, relative(value, expected), 1e-5, "relative")
        assert ours.grad is not None
        assert exact.grad is not None
        yield Comparison(f"{name}, gradient", reference, relative(ours.grad, exact.grad), 1e-5, "relative")
    yield from _distribution_focal(generator)


def _x_t(logits: Tensor, target: Tensor) -> Tensor:
    """Return logits that stand for p_t: x of the label's class, -x of each other class."""
    return torch.where(target > 0, logits, -logits)


def _focal(alpha: float | None, gamma: float) -> Formula:
    def formula(logits: Tensor, target: Tensor, quality: Tensor) -> Tensor:
        x_t = _x_t(logits, target)
        weight = 1.0 if alpha is None else torch.where(target > 0, alpha, 1 - alpha)
        return -weight * (1 - x_t.sigmoid()) ** gamma * logsigmoid(x_t)

    return formula


def _focal_star(logits: Tensor, target: Tensor, quality: Tensor) -> Tensor:
    return -torch.where(target > 0, 0.25, 0.75) * logsigmoid(2.0 * _x_t(logits, target) + 1.0) / 2.0


def _hinge(logits: Tensor, target: Tensor, quality: Tensor) -> Tensor:
    return (0.5 - _x_t(logits, target).sigmoid()).clamp(min=0)


def _quality_focal(logits: Tensor, target: Tensor, quality: Tensor) -> Tensor:
    y = target * quality
    return -((y - logits.sigmoid()).abs() ** 2) * ((1 - y) * logsigmoid(-logits) + y * logsigmoid(logits))


def _varifocal(logits: Tensor, target: Tensor, quality: Tensor) -> Tensor:
    positive = -quality * (quality * logsigmoid(logits) + (1 - quality) * logsigmoid(-logits))
    return torch.where(target > 0, positive, -0.75 * logits.sigmoid() ** 2 * logsigmoid(-logits))


_ICCV = "Lin et al. 2017, equation"
_FAMILY: dict[str, tuple[Any, str, Formula]] = {
    "focal loss, gamma 2": (losses.FocalLoss(None, 2.0), f"{_ICCV} 4", _focal(None, 2.0)),
    "focal loss, alpha 0.25, gamma 2": (losses.FocalLoss(0.25, 2.0), f"{_ICCV} 5", _focal(0.25, 2.0)),
    "focal loss, alpha 0.25, gamma 5": (losses.FocalLoss(0.25, 5.0), f"{_ICCV} 5", _focal(0.25, 5.0)),
    "focal loss, alpha 0.75, gamma 0.5": (losses.FocalLoss(0.75, 0.5), f"{_ICCV} 5", _focal(0.75, 0.5)),
    "cross-entropy": (losses.CrossEntropyLoss(), f"{_ICCV} 1", _focal(None, 0.0)),
    "alpha-balanced cross-entropy": (losses.CrossEntropyLoss(0.75), f"{_ICCV} 3", _focal(0.75, 0.0)),
    "FL*, alpha 0.25, gamma 2, beta 1": (losses.FocalStarLoss(2.0, 1.0, 0.25), "Lin et al. 2017, equation 8", _focal_star),
    "hinge loss on p_t": (losses.HingeLoss(0.5), "Lin et al. 2017, section 5.1", _hinge),
    "quality focal loss": (losses.QualityFocalLoss(2.0), "Li et al. 2020, quality focal loss", _quality_focal),
    "varifocal loss": (losses.VarifocalLoss(0.75, 2.0), "Zhang et al. 2021, equation 2", _varifocal),
}


def _distribution_focal(generator: torch.Generator) -> Iterator[Comparison]:
    reference = "Li et al. 2020, distribution focal loss"
    logits = torch.randn(300, 4, 17, generator=generator)
    target = torch.rand(300, 4, generator=generator) * 16
    ours, exact = logits.clone().requires_grad_(), logits.double().requires_grad_()
    value = losses.DistributionFocalLoss()(ours, target)
    # each bin's share of a target is what is left of 1 after its distance
    bins = torch.arange(17, dtype=torch.float64)
    share = (1 - (target.double()[..., None] - bins).abs()).clamp(min=0)
    expected = -(share * exact.log_softmax(-1)).sum()
    value.backward()
    expected.backward()
    assert ours.grad is not None
    assert exact.grad is not None
    yield Comparison("distribution focal loss, value", reference, relative(value, expected), 1e-5, "relative")
    yield Comparison("distribution focal loss, gradient", reference, relative(ours.grad, exact.grad), 1e-5, "relative")
