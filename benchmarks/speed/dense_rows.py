"""Rows of the dense path: focal loss, matching, post-processing, at 182,403 anchors (800 x 1216 px) and 80 classes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torchvision import ops
from torchvision.models.detection import RetinaNet as TorchvisionRetinaNet
from torchvision.models.detection._utils import BoxCoder, Matcher

from benchmarks.speed.timing import Row
from dettoolkit.modeling.anchors import GridAnchors
from dettoolkit.modeling.box_coders import DeltaXYWHCoder
from dettoolkit.modeling.dense import DenseDecoder
from dettoolkit.modeling.dense.nms import BatchedNMS
from dettoolkit.modeling.losses import sigmoid_focal_loss
from dettoolkit.modeling.matchers import MaxIoUMatcher
from dettoolkit.structures import Annotations, DensePredictions

SIZE = (800, 1216)
STRIDES = (8, 16, 32, 64, 128)
MAP_SIZES = [(-(-SIZE[0] // stride), -(-SIZE[1] // stride)) for stride in STRIDES]
NUM_CLASSES = 80


def anchors(device: torch.device) -> list[Tensor]:
    """Return RetinaNet's anchors of the image, by level."""
    return GridAnchors(STRIDES)(MAP_SIZES, device)


def random_boxes(count: int, generator: torch.Generator) -> Tensor:
    """Return ``[count, 4]`` boxes of 10 to 330 px."""
    low = torch.rand(count, 2, generator=generator) * torch.tensor([SIZE[1], SIZE[0]]) * 0.9
    sides = torch.exp(2.3 + 3.5 * torch.rand(count, 2, generator=generator))
    return torch.cat([low, torch.minimum(low + sides, torch.tensor([SIZE[1], SIZE[0]]))], dim=1)


def focal_example(images: int, device: torch.device, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Return logits ``[images, 182403, 80]`` that require a gradient, and labels with 100 positives an image."""
    generator = torch.Generator(device).manual_seed(0)
    total = sum(len(level) for level in anchors(device))
    logits = torch.randn(images, total, NUM_CLASSES, generator=generator, device=device, dtype=dtype).sub_(4)
    labels = torch.full((images, total), -1, device=device)
    positive = torch.randint(total, (100,), generator=generator, device=device)
    labels[:, positive] = torch.randint(NUM_CLASSES, (100,), generator=generator, device=device)
    return logits.requires_grad_(), labels


def torchvision_focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the sum over images, each with its targets, as torchvision's head computes it."""
    losses = []
    for image, classes in zip(logits, labels, strict=True):
        target = torch.zeros_like(image)
        foreground = classes >= 0
        target[foreground, classes[foreground]] = 1.0
        valid = classes != -2
        losses.append(ops.sigmoid_focal_loss(image[valid], target[valid], reduction="sum"))
    return torch.stack(losses).sum()


def gradient_of(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor) -> Tensor:
    """Compute a loss and return its gradient, which nobody keeps."""
    return torch.autograd.grad(loss(logits, labels), logits)[0]


def compiled_focal_loss(device: torch.device) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Return our loss compiled, by its name in the table; nothing where there is no compiler, after saying so."""
    if device.type == "cpu" and shutil.which(os.environ.get("CXX", "g++")) is None:
        print("left out: dettoolkit, compiled (torch.compile needs a C++ compiler on the CPU)")
        return {}
    return {"dettoolkit, compiled": torch.compile(sigmoid_focal_loss, fullgraph=True)}


def focal_loss(device: torch.device) -> Iterator[Row]:
    """Yield the loss with its targets, forward and backward, for two images with 200 positives, and the same over its floor.

    The floor is the least that there is to do: the logits are read once and the gradient is written once.
    """
    logits, labels = focal_example(2, device)
    losses = {"dettoolkit": sigmoid_focal_loss} | compiled_focal_loss(device) | {"torchvision": torchvision_focal_loss}
    contestants = {name: partial(gradient_of, loss, logits, labels) for name, loss in losses.items()}
    *ours, theirs = contestants

    def difference() -> float:
        expected = contestants[theirs]()
        return max(float((contestants[name]() - expected).abs().max()) for name in ours)

    title = f"focal loss with its targets, {list(logits.shape)}"
    yield Row(title, contestants, difference, 1e-5)
    floor = {"floor: read once, write once": partial(torch.mul, logits.detach(), 0.5)}
    yield Row(f"{title}, over its floor", {name: contestants[name] for name in ours} | floor)


def matching(device: torch.device) -> Iterator[Row]:
    """Yield IoU and matching with 10, 100 and 500 boxes."""
    levels = anchors(device)
    together = torch.cat(levels)
    for count in (10, 100, 500):
        boxes = random_boxes(count, torch.Generator().manual_seed(count)).to(device)
        none = torch.zeros(count, dtype=torch.bool, device=device)
        truth = Annotations(boxes, torch.zeros(count, dtype=torch.int64, device=device), none)
        matcher, theirs = MaxIoUMatcher(), Matcher(0.5, 0.4, allow_low_quality_matches=True)
        contestants = {
            "dettoolkit": lambda m=matcher, t=truth: m(levels, t).indices,
            "torchvision": lambda m=theirs, b=boxes: m(ops.box_iou(b, together)),
        }
        ours, other = contestants.values()
        different = lambda a=ours, b=other: float((a() != b()).sum())  # noqa: E731
        yield Row(f"matching, {len(together)} anchors, {count} boxes", contestants, different)


def post_processing(device: torch.device) -> Iterator[Row]:
    """Yield what follows the network in inference, with 1 % of the scores over 0.05."""
    generator = torch.Generator().manual_seed(0)
    levels = anchors(device)
    # P(z * 1 + m > logit 0.05) = 0.01
    logits = [torch.randn(1, len(level), NUM_CLASSES, generator=generator).to(device) - 2.944 - 2.326 for level in levels]
    deltas = [(torch.randn(1, len(level), 4, generator=generator) * 0.2).to(device) for level in levels]
    predictions = DensePredictions(logits, deltas, MAP_SIZES)
    decoder = DenseDecoder(DeltaXYWHCoder(), BatchedNMS(0.5), max_detections=300, drop_empty=False)
    theirs: Any = SimpleNamespace(
        score_thresh=0.05, topk_candidates=1000, detections_per_img=300, nms_thresh=0.5, box_coder=BoxCoder((1.0,) * 4)
    )
    heads = {"cls_logits": logits, "bbox_regression": deltas}

    def ours() -> Tensor:
        return decoder(predictions, levels, [SIZE])[0].scores

    def torchvisions() -> Tensor:
        return TorchvisionRetinaNet.postprocess_detections(theirs, heads, [levels], [SIZE])[0]["scores"]

    def difference() -> float:
        return float((ours() - torchvisions()).abs().max())

    yield Row("post-processing, 1 % of scores over 0.05", {"dettoolkit": ours, "torchvision": torchvisions}, difference, 1e-5)
