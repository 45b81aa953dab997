"""Objects that are tiny once the configured transforms have resized their images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dettoolkit.data.datasets.entries import judged_boxes
from dettoolkit.data.transforms import Pipeline, build_transforms
from dettoolkit.data.transforms.way_back import measure_way_back
from dettoolkit.diagnosis.dataset.inspection import InspectedSet
from dettoolkit.diagnosis.dataset.kinds import found
from dettoolkit.structures import Finding

# The finest map of RetinaNet's pyramid has a cell for 8 pixels: what is narrower may lie between two of them.
TINY = 8.0


def tiny_objects(inspected: InspectedSet, cfg: Any, side: float = TINY) -> Iterator[Finding]:
    """Yield sound boxes whose shorter side falls below ``side`` pixels after ``DATASETS.TEST_TRANSFORMS``.

    Raises:
        ConfigError: the transforms cannot be built, or do something else than resize, pad, crop and flip.
    """
    corners, sizes = inspected.pixel_corners()
    counted = (judged_boxes(corners, sizes)[1] == 0) & (sizes > 0).all(axis=1) & ~inspected.boxes.ignore
    indices = np.flatnonzero(counted)
    if not len(indices):
        return
    pipeline = Pipeline(build_transforms(cfg.DATASETS.TEST_TRANSFORMS, "DATASETS.TEST_TRANSFORMS"))
    distinct, which = np.unique(sizes[indices], axis=0, return_inverse=True)
    scales = [measure_way_back(pipeline.apply, (height, width))[0].scale for height, width in distinct.tolist()]
    factors = 1 / np.abs(np.array(scales, dtype=np.float64))[which.reshape(-1)]
    shorter = ((corners[indices, 2:] - corners[indices, :2]) * factors).min(axis=1)
    small = np.flatnonzero(shorter < side)
    small = small[np.argsort(shorter[small], kind="stable")].tolist()
    examples = (
        inspected.box_example(int(indices[k]), corners, f"has {shorter[k]:.1f} pixels at its shorter side after resizing")
        for k in small
    )
    yield from found("tiny-objects", len(small), examples)
