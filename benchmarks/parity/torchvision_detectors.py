"""torchvision's two RetinaNets, and ours from configs/compat with the same random weights, converted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import detection

from benchmarks.parity.comparison import Comparison, absolute, of_detections, relative, relative_each
from dettoolkit.checkpoint.converters import torchvision as converter
from dettoolkit.config import load_config
from dettoolkit.inference import Predictor
from dettoolkit.modeling import build_model
from dettoolkit.structures import Annotations, DatasetInfo, Detections

CONFIGS = Path(__file__).parents[2] / "configs/compat"
MODELS: dict[str, Callable[..., nn.Module]] = {
    "retinanet_resnet50_fpn": detection.retinanet_resnet50_fpn,
    "retinanet_resnet50_fpn_v2": detection.retinanet_resnet50_fpn_v2,
}
SHORT, LONG = 224, 373  # a smaller picture than 800 x 1333, with the same steps


def compare(name: str) -> Iterator[Comparison]:
    """Yield what is compared with torchvision's model ``name``."""
    torch.manual_seed(0)
    theirs = _lively(MODELS[name](weights=None, weights_backbone=None, min_size=SHORT, max_size=LONG).eval())
    sizes = ["DATASETS.TEST_TRANSFORMS.0.SIZES", f"[{SHORT}]", "DATASETS.TEST_TRANSFORMS.0.MAX_SIZE", f"{LONG}"]
    fixed = ["MODEL.NUM_CLASSES", "91", "MODEL.BACKBONE.FREEZE_STAGES", "0"]
    cfg = load_config(CONFIGS / f"torchvision_{name}.yaml", [*sizes, *fixed])
    ours: Any = build_model(cfg).eval()
    converted = converter.to_dettoolkit(theirs.state_dict())
    assert not converted.unknown, converted.unknown
    ours.load_state_dict(converted.state, strict=name.endswith("v2"))  # frozen batch norm has no counters
    reference = f"torchvision {torchvision.__version__} {name}"
    for what, difference, tolerance, unit in [*_dense(ours, theirs), *_detections(ours, theirs, cfg)]:
        yield Comparison(what, reference, difference, tolerance, unit)


def _dense(ours: Any, theirs: Any) -> Iterator[tuple[str, float, float, str]]:
    """Compare the network, its losses and gradients on two pictures that need no resizing, one of them padded."""
    sizes = [(SHORT, 352), (SHORT, 320)]
    batch = torch.zeros(2, 3, SHORT, 352, dtype=torch.uint8)
    images = [_picture(size, seed) for seed, size in enumerate(sizes)]
    for row, image in zip(batch, images, strict=True):
        row[:, : image.shape[-2], : image.shape[-1]] = image
    predictions = ours.predictions(batch, sizes)
    targets = [_targets(size, seed) for seed, size in enumerate(sizes)]
    their_targets = [{"boxes": target.boxes, "labels": target.labels} for target in targets]
    scaled = [image / 255 for image in images]

    kept: dict[str, Any] = {}
    hook = theirs.head.register_forward_hook(lambda *call: kept.update(call[2]))
    anchor_hook = theirs.anchor_generator.register_forward_hook(lambda *call: kept.update(anchors=call[2][0]))
    theirs.training = True  # this flag alone: losses are wanted, batch norm stays as it is
    their_losses = theirs(scaled, their_targets)
    theirs.training = False
    hook.remove()
    anchor_hook.remove()

    yield "logits", relative(torch.cat(predictions.logits, 1), _our_order(kept["cls_logits"])), 1e-4, "relative"
    yield "deltas", relative(torch.cat(predictions.deltas, 1), _our_order(kept["bbox_regression"])), 1e-4, "relative"
    anchors = torch.cat(ours.anchors(predictions.map_sizes, "cpu"))
    yield "anchors", absolute(anchors, _our_order(kept["anchors"][None])[0]), 1e-4, "px"
    ours.criterion.train()
    losses = ours.losses(predictions, targets)
    ours.criterion.eval()
    yield "classification loss", relative(losses.losses["loss_cls"], their_losses["classification"]), 1e-4, "relative"
    yield "box loss", relative(losses.losses["loss_box"], their_losses["bbox_regression"]), 1e-4, "relative"
    losses.total.backward()
    sum(their_losses.values()).backward()
    renamed = converter.to_dettoolkit({name: p.grad for name, p in theirs.named_parameters() if p.grad is not None})
    # convolutions before a norm have biases here and none there; FrozenBN has no gradients here
    mine = {name: float(p.grad.norm()) for name, p in ours.named_parameters() if name not in renamed.filled}
    them = {name: float(gradient.norm()) for name, gradient in renamed.state.items() if name in mine}
    yield "gradient norm of each parameter", relative_each(mine, them), 1e-3, "relative"


def _detections(ours: Any, theirs: Any, cfg: Any) -> Iterator[tuple[str, float, float, str]]:
    """Compare all from the pixels of two pictures of any size to their detections, resizing and the way back included."""
    images = [_picture((427, 640), 2), _picture((333, 250), 3)]
    info = DatasetInfo("coco", tuple(f"class {label}" for label in range(91)))
    mine = Predictor(ours, cfg, info, device="cpu", precision="fp32")([image.permute(1, 2, 0).numpy() for image in images])
    with torch.no_grad():
        outputs = theirs([image / 255 for image in images])
    them = [Detections(output["boxes"], output["scores"], output["labels"]) for output in outputs]
    scores, corners = of_detections(mine, them)
    count = min(len(found) for found in them)
    yield f"scores of {count} and more detections", scores, 1e-4, "absolute"
    yield f"boxes of {count} and more detections", corners, 0.01, "px"


def _lively(model: Any) -> Any:
    """Give a model random statistics and class scores that are not all the prior, so that there is something to compare."""
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 1.0, 1.2)
            nn.init.uniform_(module.weight, 0.8, 1.2)
            if name.endswith("bn3"):
                module.weight.data *= 0.25
    head = model.head
    for tower in (head.classification_head.conv, head.regression_head.conv):
        for module in tower.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
    nn.init.normal_(head.classification_head.cls_logits.weight, std=0.01)
    nn.init.normal_(head.classification_head.cls_logits.bias, -3.0, 0.5)
    nn.init.normal_(head.regression_head.bbox_reg.weight, std=0.003)
    nn.init.normal_(head.regression_head.bbox_reg.bias, std=0.05)
    return model


def _our_order(rows: Tensor) -> Tensor:
    """Return rows ``[N, locations * 9, K]`` of all levels, ratio-major at each location, as scale-major."""
    return rows.unflatten(1, (-1, 3, 3)).transpose(2, 3).flatten(1, 3)


def _picture(size: tuple[int, int], seed: int) -> Tensor:
    """Return ``[3, H, W]`` uint8: soft blobs of colour."""
    coarse = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(seed))
    return (functional.interpolate(coarse, size=size, mode="bicubic")[0].clamp(0, 1) * 255).to(torch.uint8)


def _targets(size: tuple[int, int], seed: int) -> Annotations:
    generator = torch.Generator().manual_seed(100 + seed)
    low = torch.rand(6, 2, generator=generator) * 0.6
    high = low + 0.1 + torch.rand(6, 2, generator=generator) * 0.3
    boxes = torch.cat([low, high], dim=1) * torch.tensor([size[1], size[0]] * 2)
    return Annotations(boxes, torch.randint(1, 91, (6,), generator=generator), torch.zeros(6, dtype=torch.bool))
