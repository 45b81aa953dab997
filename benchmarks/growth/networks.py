"""Points of the curves of a whole detector: a training step and inference, and their parts, on made-up images and boxes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.speed.timing import Row
from dettoolkit.config import load_config
from dettoolkit.modeling import build_model
from dettoolkit.structures import Annotations, DensePredictions

CONFIG = Path(__file__).parents[2] / "configs/retinanet/retinanet_r50_fpn_1x.yaml"
_DEVICE = torch.device("cpu")
_FOUND = 2.0  # logit of an anchor that stands for a box: a score of 0.88


@dataclass(frozen=True)
class Setting:
    """What a point is measured on.

    Args:
        side: height and width of each image, pixels; a multiple of 32.
        batch: images.
        boxes: of each image.
        classes: K.
        config: of the detector.
    """

    side: int = 256
    batch: int = 1
    boxes: int = 10
    classes: int = 80
    config: Path = CONFIG

    @property
    def image_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each image."""
        return [(self.side, self.side)] * self.batch


def training(setting: Setting) -> Row:
    """Return a step from images to updated weights, and parts of it.

    Memory is counted from weights and momentum on: the step gives its gradients back before it ends.
    """
    model, images, targets = _model(setting).train(), _images(setting), random_targets(setting)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-6, momentum=0.9)
    with torch.no_grad():
        leaves = model.predictions(images, setting.image_sizes)
    for leaf in (*leaves.logits, *leaves.deltas):
        leaf.requires_grad_()
    anchors = model.anchors(leaves.map_sizes, _DEVICE)

    def whole() -> None:
        model(images, setting.image_sizes, targets).total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def losses() -> None:
        model.losses(leaves, targets).total.backward()
        for leaf in (*leaves.logits, *leaves.deltas):
            leaf.grad = None

    contestants = {
        "whole step": whole,
        "network, forward": lambda: model.predictions(images, setting.image_sizes),
        **_class_convolution(model, leaves),
        "losses, forward and backward": losses,
        "matching": lambda: [model.criterion.matcher(anchors, target, None) for target in targets],
    }
    return Row(f"training step, {setting}", contestants)


def inference(setting: Setting) -> Row:
    """Return the way from images to detections, and parts of it; the detections are those of a network that finds all boxes."""
    model, images = _model(setting).eval(), _images(setting)
    found = planted(model, images, setting, random_targets(setting))

    @torch.no_grad()
    def whole() -> Any:
        predictions = model.predictions(images, setting.image_sizes)  # held while boxes are made of those that found some
        return predictions, model.detections(found, setting.image_sizes)

    @torch.no_grad()
    def network() -> Any:
        return model.predictions(images, setting.image_sizes)

    contestants = {
        "whole": whole,
        "network": network,
        **_class_convolution(model, found),
        "decoding": lambda: model.detections(found, setting.image_sizes),
    }
    return Row(f"inference, {setting}", contestants)


@torch.no_grad()
def planted(model: Any, images: Tensor, setting: Setting, targets: Sequence[Annotations]) -> DensePredictions:
    """Return the network's predictions, changed so that each anchor that stands for a box scores 0.88 and gives that box."""
    predictions = model.predictions(images, setting.image_sizes)
    anchors = model.anchors(predictions.map_sizes, _DEVICE)
    together = torch.cat(list(anchors))
    logits, deltas = torch.cat(predictions.logits, dim=1), torch.cat(predictions.deltas, dim=1)
    for index, target in enumerate(targets):
        matched = model.criterion.matcher(anchors, target, None).indices
        positive = (matched >= 0).nonzero().flatten()
        box = matched[positive]
        logits[index, positive, target.labels[box]] = _FOUND
        deltas[index, positive] = model.criterion.coder.encode(target.boxes[box], together[positive])
    sizes = [len(level) for level in anchors]
    split = [[level.contiguous() for level in both.split(sizes, dim=1)] for both in (logits, deltas)]
    return DensePredictions(*split, predictions.map_sizes)


def _class_convolution(model: Any, predictions: DensePredictions) -> dict[str, Callable[[], Any]]:
    """Return the head's last convolution for the classes, which alone of the network grows with them; {} for other heads."""
    convolution = getattr(model.head, "classification", None)
    if not isinstance(convolution, nn.Conv2d):
        return {}
    shapes = [(predictions.num_images, convolution.in_channels, *size) for size in predictions.map_sizes]
    maps = [torch.rand(shape).to(memory_format=torch.channels_last) for shape in shapes]

    @torch.no_grad()
    def call() -> list[Tensor]:
        return [convolution(each) for each in maps]

    return {"class convolution, forward": call}


def random_targets(setting: Setting) -> list[Annotations]:
    """Return boxes of 8 pixels to half of the image, as many of each octave, anywhere in it."""
    generator = torch.Generator().manual_seed(0)
    targets = []
    for _ in range(setting.batch):
        octaves = torch.rand(setting.boxes, 2, generator=generator)
        sides = 8 * (setting.side / 16) ** octaves
        low = torch.rand(setting.boxes, 2, generator=generator) * (setting.side - sides)
        labels = torch.randint(setting.classes, (setting.boxes,), generator=generator)
        targets.append(Annotations(torch.cat([low, low + sides], dim=1), labels, torch.zeros(setting.boxes, dtype=torch.bool)))
    return targets


def _images(setting: Setting) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (setting.batch, 3, setting.side, setting.side), dtype=torch.uint8, generator=generator)


def _model(setting: Setting) -> Any:
    torch.manual_seed(0)
    overrides = {
        "MODEL.NUM_CLASSES": setting.classes,
        "MODEL.BACKBONE.WEIGHTS": "",
        "MODEL.DECODER.MAX_DETECTIONS": max(100, setting.boxes),
    }
    pairs = [str(word) for pair in overrides.items() for word in pair]
    return build_model(load_config(setting.config, pairs)).to(memory_format=torch.channels_last)
