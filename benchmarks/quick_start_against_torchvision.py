"""The quick start and torchvision's RetinaNet on the same backbone, data and minutes, one after the other.

python benchmarks/quick_start_against_torchvision.py [--config-file configs/quick_start.yaml] [--minutes M] [KEY VALUE ...]

Ours is the config as it is; its training time, evaluation left out, is what torchvision gets. torchvision's RetinaNet is
its second form (GN head, GIoU, P6 from C5) with the same ResNet and pictures, AdamW 5e-4 with weight decay 0.05, cosine
schedule over the time, batch 8, flips both ways, the config's autocast, channels-last. Both are evaluated by CocoEvaluator.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models.detection import retinanet
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.models.resnet import resnet18
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from dettoolkit.config import load_config
from dettoolkit.data import build_dataset, build_train_dataset
from dettoolkit.data.loader import build_test_loader, build_train_loader
from dettoolkit.engine import train
from dettoolkit.engine.precision import Amp, autocast
from dettoolkit.evaluation import CocoEvaluator, flatten
from dettoolkit.structures import Batch, Detections


def torchvision_retinanet(num_classes: int, size: int) -> nn.Module:
    """Return torchvision's RetinaNet, second form, on ResNet-18 with trained batch norm, for pictures of one size."""
    backbone = _resnet_fpn_extractor(resnet18(), 5, returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(512, 256))
    anchors = retinanet._default_anchorgen()
    head = retinanet.RetinaNetHead(
        256, anchors.num_anchors_per_location()[0], num_classes, norm_layer=partial(nn.GroupNorm, 32)
    )
    head.regression_head._loss_type = "giou"
    model = retinanet.RetinaNet(backbone, num_classes, min_size=size, max_size=size, anchor_generator=anchors, head=head)
    return model.to(memory_format=torch.channels_last)


def train_torchvision(model: Any, batches: Any, seconds: float, amp: Amp) -> int:
    """Train for ``seconds`` and return the number of steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, weight_decay=0.05)
    model.train()
    started, steps, stream = time.perf_counter(), 0, iter(batches)
    while (share := (time.perf_counter() - started) / seconds) < 1:
        for group in optimizer.param_groups:  # the rate follows the time, since the speed is not known beforehand
            group["lr"] = 5e-4 * min(1, (steps + 1) / 100) * (1 + math.cos(math.pi * share)) / 2
        batch: Batch = next(stream)
        targets = [{"boxes": target.boxes, "labels": target.labels} for target in batch.targets]
        with autocast(torch.device("cpu"), amp):
            losses = model(list(batch.images.float() / 255), targets)
        optimizer.zero_grad(set_to_none=True)
        sum(losses.values()).backward()
        optimizer.step()
        steps += 1
    return steps


@torch.no_grad()
def evaluate_torchvision(model: Any, batches: Any, evaluator: CocoEvaluator, amp: Amp) -> dict[str, float]:
    """Return the numbers of an evaluation."""
    model.eval()
    for batch in batches:
        with autocast(torch.device("cpu"), amp):
            outputs = model(list(batch.images.float() / 255))
        found = [Detections(output["boxes"].float(), output["scores"].float(), output["labels"]) for output in outputs]
        evaluator.update(batch.samples, found)
    return flatten(evaluator.compute())


def main(arguments: Sequence[str] | None = None) -> None:
    """Train both and print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", default="configs/quick_start.yaml")
    parser.add_argument("--minutes", type=float, help="torchvision's training time; ours is not run then")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE")
    parsed = parser.parse_intermixed_args(arguments)
    folder = tempfile.mkdtemp(prefix="quick_start_")
    cfg = load_config(parsed.config_file, [*parsed.overrides, "OUTPUT_DIR", f"{folder}/ours", "EVALUATION.PERIOD", "0"])
    rows, minutes = {}, parsed.minutes
    if minutes is None:
        started = time.perf_counter()
        rows["dettoolkit"] = train(cfg)
        # start-up and the last evaluation count too: torchvision gets no less time than we had
        minutes = (time.perf_counter() - started) / 60
    torch.manual_seed(cfg.SEED)
    dataset, test = build_train_dataset(cfg), build_dataset(cfg, cfg.DATASETS.TEST[0])
    model = torchvision_retinanet(dataset.info.num_classes, max(dataset[0]["image"].shape[-2:]))
    workers = {"num_workers": cfg.DATALOADER.NUM_WORKERS}
    flips = [{"NAME": "RandomHorizontalFlip"}, {"NAME": "RandomVerticalFlip"}]
    batches = build_train_loader(dataset, flips, global_batch_size=8, seed=cfg.SEED, **workers)
    steps = train_torchvision(model, batches, minutes * 60, cfg.SOLVER.AMP)
    loader = build_test_loader(test, [], batch_size=8, **workers)
    rows["torchvision"] = evaluate_torchvision(model, loader, CocoEvaluator(test.info), cfg.SOLVER.AMP)
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, {torch.get_num_threads()} threads")
    print(f"{minutes:.1f} minutes each; torchvision {steps} steps of 8")
    for name, numbers in rows.items():
        print(f"{name:<12} AP {numbers['bbox/AP']:.3f}  AP50 {numbers['bbox/AP50']:.3f}  AP75 {numbers['bbox/AP75']:.3f}")


if __name__ == "__main__":
    main()
