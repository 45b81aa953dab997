"""The parts of the dense path against those of torchvision, on random boxes and logits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torchvision
from torch import Tensor
from torchvision import ops
from torchvision.models.detection._utils import BoxCoder, Matcher

from benchmarks.parity.comparison import Comparison, relative
from dettoolkit.modeling.anchors import GridAnchors
from dettoolkit.modeling.box_coders import DeltaXYWHCoder
from dettoolkit.modeling.losses import CIoULoss, DIoULoss, GIoULoss, sigmoid_focal_loss
from dettoolkit.modeling.matchers import MaxIoUMatcher
from dettoolkit.structures import Annotations

REFERENCE = f"torchvision {torchvision.__version__}"


def compare() -> Iterator[Comparison]:
    """Yield each part."""
    generator = torch.Generator().manual_seed(0)
    yield from _focal(generator)
    boxes, others = _boxes(500, generator), _boxes(500, generator)
    for loss, function in (
        (GIoULoss(), ops.generalized_box_iou_loss),
        (DIoULoss(), ops.distance_box_iou_loss),
        (CIoULoss(), ops.complete_box_iou_loss),
    ):
        yield from _pair(type(loss).__name__, loss, lambda a, b, f=function: f(a, b, reduction="sum"), boxes, others)
    yield from _coder(boxes, others, generator)
    yield _matcher(generator)


def _focal(generator: torch.Generator) -> Iterator[Comparison]:
    logits = torch.randn(3000, 80, generator=generator) * 3
    labels = torch.randint(-1, 80, (3000,), generator=generator)
    target = torch.zeros(3000, 80)
    target[labels >= 0, labels[labels >= 0]] = 1

    def theirs(x: Tensor, y: Tensor) -> Tensor:
        return ops.sigmoid_focal_loss(x, target, alpha=0.25, gamma=2.0, reduction="sum")

    yield from _pair("sigmoid_focal_loss", sigmoid_focal_loss, theirs, logits, labels)


def _pair(name: str, ours: Any, theirs: Any, first: Tensor, second: Tensor) -> Iterator[Comparison]:
    """Yield value and gradient of two functions of the same tensors."""
    a, b = first.clone().requires_grad_(), first.clone().requires_grad_()
    value, expected = ours(a, second), theirs(b, second)
    value.backward()
    expected.backward()
    assert a.grad is not None
    assert b.grad is not None
    yield Comparison(f"{name}, value", REFERENCE, relative(value, expected), 1e-5, "relative")
    yield Comparison(f"{name}, gradient", REFERENCE, relative(a.grad, b.grad), 1e-5, "relative")


def _coder(boxes: Tensor, anchors: Tensor, generator: torch.Generator) -> Iterator[Comparison]:
    weights = (10.0, 10.0, 5.0, 5.0)
    ours, theirs = DeltaXYWHCoder(weights), BoxCoder(weights)
    encoded = theirs.encode_single(boxes, anchors)
    yield Comparison("box coder, encoding", REFERENCE, relative(ours.encode(boxes, anchors), encoded), 1e-5, "relative")
    deltas = torch.randn(len(anchors), 4, generator=generator) * 8  # some over the clamp of sides
    decoded = theirs.decode_single(deltas, anchors)
    yield Comparison("box coder, decoding", REFERENCE, relative(ours.decode(deltas, anchors), decoded), 1e-5, "relative")


def _matcher(generator: torch.Generator) -> Comparison:
    anchors = GridAnchors([8, 16, 32])([(32, 32), (16, 16), (8, 8)], "cpu")
    theirs = Matcher(0.5, 0.4, allow_low_quality_matches=True)
    wrong = 0
    for _ in range(50):
        boxes = _boxes(12, generator)
        truth = Annotations(boxes, torch.zeros(12, dtype=torch.int64), torch.zeros(12, dtype=torch.bool))
        expected = theirs(ops.box_iou(boxes, torch.cat(anchors)))
        wrong += int((MaxIoUMatcher()(anchors, truth).indices != expected).sum())
    return Comparison("matches of 50 pictures", REFERENCE, wrong, 0, "anchors")


def _boxes(count: int, generator: torch.Generator) -> Tensor:
    low = torch.rand(count, 2, generator=generator) * 200
    return torch.cat([low, low + 4 + torch.rand(count, 2, generator=generator) * 100], dim=1)
