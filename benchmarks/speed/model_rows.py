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
from dettoolkit.inference import Predictor
from dettoolkit.modeling import build_model
from dettoolkit.modeling.compiling import compile_for_training
from dettoolkit.structures import Annotations, DatasetInfo

CONFIG = Path(__file__).parents[2] / "configs/retinanet/retinanet_r50_fpn_1x.yaml"


def inference(device: torch.device) -> Iterator[Row]:
    """Yield batch 1 at 800 x 1216: ours as a Predictor gives it to users, torchvision's in fp32 as it is shipped.

    Compiled, ours pads to 832 x 1216, so that pictures of many sizes need few shapes.
    """
    size = (800, 1216)
    image = torch.randint(256, (3, *size), dtype=torch.uint8)
    theirs, their_image = _torchvisions(device, size).eval(), image.to(device)

    @torch.no_grad()
    def torchvision_fp32() -> Any:
        return theirs([their_image / 255])

    contestants = {
        f"dettoolkit, {precision}{' compiled' if compiled else ''}": partial(_predictor(device, precision, compiled), [image])
        for precision in ("fp32", "bf16")
        for compiled in (False, True)
    }
    yield Row("inference, 800 x 1216, batch 1", {**contestants, "torchvision, fp32": torchvision_fp32})


def convolution(device: torch.device) -> Iterator[Row]:
    """Yield the convolution that the head of RetinaNet consists of: what the processor can multiply, for judging the network.

    3 x 3 with 256 channels in and out on the largest map of 800 x 1216, channels-last: 8.97 billion multiply-adds.
    """
    contestants = {}
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        layer = torch.nn.Conv2d(256, 256, 3, padding=1).to(device, dtype).to(memory_format=torch.channels_last)
        x = torch.randn(1, 256, 100, 152).to(device, dtype).to(memory_format=torch.channels_last)
        contestants[name] = torch.no_grad()(partial(layer, x))
    yield Row("convolution 3 x 3, 256 channels, 100 x 152", contestants)


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

    def ours(dtype: torch.dtype | None, compiled: bool) -> Callable[[], None]:
        model = _ours(device).train()
        if compiled:
            compile_for_training(model, "compiled", True, device)
        return _step(model, partial(ours_loss, model, dtype))

    contestants = {
        "dettoolkit, fp32": ours(None, False),
        "dettoolkit, fp32 compiled": ours(None, True),
        "dettoolkit, bf16": ours(torch.bfloat16, False),
        "dettoolkit, bf16 compiled": ours(torch.bfloat16, True),
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


def _config(*overrides: str) -> Any:
    return load_config(CONFIG, ["MODEL.NUM_CLASSES", str(NUM_CLASSES), "MODEL.BACKBONE.WEIGHTS", "", *overrides])


def _ours(device: torch.device) -> Any:
    torch.manual_seed(0)
    return build_model(_config()).to(device).to(memory_format=torch.channels_last)


def _predictor(device: torch.device, precision: Any, compiled: bool) -> Predictor:
    info = DatasetInfo("random", tuple(f"class {label}" for label in range(NUM_CLASSES)))
    return Predictor(_ours(device), _config("DATASETS.TEST_TRANSFORMS", "[]"), info, str(device), precision, compiled)


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
