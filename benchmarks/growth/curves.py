"""The curves: what varies, over which values, and what is measured at each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.growth.networks import Setting, inference, training
from benchmarks.growth.records import measure_records
from benchmarks.speed.timing import Row, Timing, measure

SIDES = (128, 192, 256, 384, 512, 768, 1024)
BATCHES = (1, 2, 4, 8, 16)
BOXES = (1, 10, 100, 500, 2000)
CLASSES = (1, 10, 80, 365, 1203)  # COCO has 80, Objects365 365, LVIS 1203
RECORDS = (1_000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True)
class Curve:
    """Times and memory against one number.

    Args:
        title: over the picture.
        x_label: what the number is, with its unit.
        values: of the number, ascending.
        work: row of the kit for a setting, or None for the curve of data sets.
        varies: the part of the setting that the number is.
        fixed: the other parts.
    """

    title: str
    x_label: str
    values: Sequence[int]
    work: Callable[[Setting], Row] | None = None
    varies: str = ""
    fixed: dict[str, Any] = field(default_factory=dict)

    def measure(self, value: int, rounds: int, config: Path) -> dict[str, Timing]:
        """Return the timing of the whole and of its parts at one value."""
        if self.work is None:
            return measure_records(value, rounds)
        setting = Setting(**self.fixed | {self.varies: value, "config": config})
        return measure(self.work(setting), rounds, torch.device("cpu"))


def _pair(name: str, title: str, x_label: str, values: Sequence[int], varies: str, **fixed: Any) -> dict[str, Curve]:
    """Return the curves of a training step and of inference against the same number."""
    return {
        f"training_{name}": Curve(f"Training step, {title}", x_label, values, training, varies, fixed),
        f"inference_{name}": Curve(f"Inference, {title}", x_label, values, inference, varies, fixed),
    }


CURVES: dict[str, Curve] = {
    **_pair("image_size", "1 image, 10 boxes, 80 classes", "height and width, pixels", SIDES, "side"),
    **_pair("batch", "256 x 256 px, 10 boxes an image, 80 classes", "images of a batch", BATCHES, "batch", side=256),
    **_pair("boxes", "1 image of 512 x 512 px, 80 classes", "boxes of an image", BOXES, "boxes", side=512),
    **_pair("classes", "1 image of 512 x 512 px, 10 boxes", "classes", CLASSES, "classes", side=512),
    "records": Curve(
        "Data set in COCO's format, a box an image, batches of 16 tiny pictures", "images of the data set", RECORDS
    ),
}
