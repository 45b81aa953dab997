"""IoU of one box with others in numpy: what goes box by box would spend ten times as long in calls of torch."""

from __future__ import annotations

import numpy as np


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the IoU ``[D]`` of one box ``[4]`` with each of ``boxes [D, 4]``."""
    sides = (np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])).clip(0)
    common = sides[:, 0] * sides[:, 1]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    union = areas + (box[2] - box[0]) * (box[3] - box[1]) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)
