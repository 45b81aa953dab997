"""What looking into the classification loss costs, in seconds of a CPU core.

python benchmarks/focal_microscope.py [--config-file configs/quick_start.yaml] [--num-classes K]
    [--size HEIGHT WIDTH] [--repeats N] [KEY VALUE ...]

A step and an evaluated batch of the config's network, on random pictures, beside
what the hook FocalMicroscope adds to the steps that it looks at, and the counting behind figure 4 to each evaluated batch.
Loading pictures and COCO's evaluator are left out on both sides, so that the shares are upper bounds. The smallest of N
repeats counts; the clock is that of the process, which other programs do not disturb.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

from dettoolkit.config import load_config
from dettoolkit.engine.precision import autocast
from dettoolkit.evaluation.analysis import FocalDistributionCollector, FocalObserver
from dettoolkit.modeling import build_model
from dettoolkit.structures import Annotations

CPU = torch.device("cpu")
OBJECTS = 7  # an image, as many as COCO has


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the smallest processor time of some repeats, after one that is not counted."""
    work()
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def measure(model: Any, batch: tuple[Any, ...], amp: Any, repeats: int) -> dict[str, float]:
    """Return the seconds of a step, a look, an evaluated batch and the counting of it."""
    images, sizes, targets = batch
    optimizer, seen = torch.optim.AdamW(model.parameters()), []

    def step() -> None:
        with autocast(CPU, amp):
            losses = model(images, sizes, targets)
        losses.total.backward()
        optimizer.step()
        optimizer.zero_grad()

    @torch.no_grad()
    def evaluate() -> None:
        with autocast(CPU, amp):
            predictions = model.predictions(images, sizes)
        model.losses(predictions, targets)
        model.detections(predictions, sizes)

    def look() -> None:
        observer(*seen[0])
        statistics = observer.statistics()
        statistics.over_all(), statistics.by_level(), statistics.by_class()

    model.criterion.observers.append(lambda *shown: seen.append(shown))
    step()
    model.criterion.observers.clear()
    observer, collector = FocalObserver(model.criterion.classification_loss), FocalDistributionCollector()
    found = {"a step": seconds(step, repeats), "a look": seconds(look, repeats)}
    model.eval()
    return found | {
        "an evaluated batch": seconds(evaluate, repeats),
        "counting it": seconds(lambda: collector(*seen[0]), repeats),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", default="configs/quick_start.yaml")
    parser.add_argument("--num-classes", type=int, default=6)
    parser.add_argument("--size", type=int, nargs=2, default=(160, 160), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("overrides", nargs="*")
    args = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    cfg = load_config(args.config_file, [*args.overrides, "MODEL.NUM_CLASSES", str(args.num_classes)])
    images = torch.randint(0, 256, (cfg.SOLVER.BATCH_SIZE, 3, *args.size), dtype=torch.uint8)
    corners = torch.rand(len(images), OBJECTS, 2) * (min(args.size) - 40)
    boxes = torch.cat([corners, corners + 40], dim=2)
    ignore = torch.zeros(OBJECTS, dtype=torch.bool)
    targets = [Annotations(own, torch.randint(args.num_classes, (OBJECTS,)), ignore) for own in boxes]
    model = build_model(cfg).to(memory_format=torch.channels_last)
    found = measure(model, (images, [tuple(args.size)] * len(images), targets), cfg.SOLVER.AMP, args.repeats)
    for name, value in found.items():
        print(f"{name:20} {value:8.4f} s")
    print(f"a look every 100 steps: {found['a look'] / found['a step'] / 100:.2%} of the training")
    print(f"a look every 20 steps:  {found['a look'] / found['a step'] / 20:.2%} of the training")
    print(f"counting:               {found['counting it'] / found['an evaluated batch']:.1%} of the evaluation")


if __name__ == "__main__":
    main()
