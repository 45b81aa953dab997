"""Rows of whole models: RetinaNet R50-FPN with 80 classes and random weights, torchvision's beside ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.models import resnet50
from torchvision.models.detection import RetinaNet as TorchvisionRetinaNet
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.detection.retinanet import _default_anchorgen
from torchvision.ops.feature_pyramid_network import LastLevelP6P7
from torchvision.ops.misc import FrozenBatchNorm2d

from benchmarks.speed.dense_rows import NUM_CLASSES, random_boxes
from benchmarks.speed.timing import Row
from dettoolkit.config import load_config
from dettoolkit.modeling import build_model
from dettoolkit.structures import Annotations

CONFIG = Path(__file__).parents[2] / "configs/retinanet/retinanet_r50_fpn_1x.yaml"


def inference(device: torch.device) -> Iterator[Row]:
    """Yield batch 1 at 800 x 1216: fp32 as torchvision ships it, ours in fp32 and in bf16 with channels-last."""
    size = (800, 1216)
    image = torch.randint(256, (1, 3, *size), dtype=torch.uint8, device=device)
    ours, theirs = _ours(device).eval(), _torchvisions(device, size).eval()

    @torch.no_grad()
    def ours_in(dtype: torch.dtype | None) -> Any:
        with torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            predictions = ours.predictions(image, [size])
        return ours.detections(predictions, [size])

    @torch.no_grad()
    def torchvision_fp32() -> Any:
        return theirs([image[0] / 255])

    yield Row(
        "inference, 800 x 1216, batch 1",
        {
            "dettoolkit, fp32": partial(ours_in, None),
            "dettoolkit, bf16": partial(ours_in, torch.bfloat16),
            "torchvision, fp32": torchvision_fp32,
        },
    )


def training_step(device: torch.device) -> Iterator[Row]:
    """Yield a step of batch 2 at 480 x 640 with 12 boxes an image, the optimizer's included."""
    size = (480, 640)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, 3, *size), dtype=torch.uint8, generator=generator).to(device)
    boxes = [random_boxes(12, generator).clamp(max=480).to(device) for _ in range(2)]
    boxes = [torch.cat([each[:, :2].clamp(max=400), each[:, :2].clamp(max=400) + 60], dim=1) for each in boxes]
    labels = [torch.randint(NUM_CLASSES, (12,), generator=generator).to(device) for _ in range(2)]
    none = torch.zeros(12, dtype=torch.bool, device=device)
    targets = [Annotations(box, label, none) for box, label in zip(boxes, labels, strict=True)]
    their_targets = [{"boxes": box, "labels": label} for box, label in zip(boxes, labels, strict=True)]
    theirs = _torchvisions(device, size).train()

    def ours_loss(model: Any, dtype: torch.dtype | None) -> Tensor:
        with torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            predictions = model.predictions(images, [size] * 2)
        return model.losses(predictions, targets).total

    def torchvision_loss() -> Tensor:
        return sum(theirs(list(images / 255), their_targets).values())  # type: ignore[return-value]

    fp32, bf16 = _ours(device).train(), _ours(device).train()
    contestants = {
        "dettoolkit, fp32": _step(fp32, partial(ours_loss, fp32, None)),
        "dettoolkit, bf16": _step(bf16, partial(ours_loss, bf16, torch.bfloat16)),
        "torchvision, fp32": _step(theirs, torchvision_loss),
    }
    yield Row("training step, batch 2 at 480 x 640, 12 boxes an image", contestants)


def _step(model: Any, loss: Callable[[], Tensor]) -> Callable[[], None]:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-6, momentum=0.9, weight_decay=1e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step


def _ours(device: torch.device) -> Any:
    torch.manual_seed(0)
    model = build_model(load_config(CONFIG, ["MODEL.NUM_CLASSES", str(NUM_CLASSES), "MODEL.BACKBONE.WEIGHTS", ""]))
    return model.to(device).to(memory_format=torch.channels_last)


def _torchvisions(device: torch.device, size: tuple[int, int]) -> Any:
    """Return torchvision's first RetinaNet with frozen batch norm, stem and C2, as its factory makes it for training on."""
    torch.manual_seed(0)
    backbone = _resnet_fpn_extractor(
        resnet50(norm_layer=FrozenBatchNorm2d), 3, returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256)
    )
    model = TorchvisionRetinaNet(
        backbone, NUM_CLASSES, min_size=min(size), max_size=max(size), anchor_generator=_default_anchorgen()
    )
    return model.to(device)
