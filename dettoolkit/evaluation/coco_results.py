"""Detections in COCO's results format, which other tools read (``predictions.json``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dettoolkit.evaluation.collector import Collected
from dettoolkit.structures import DatasetInfo


def to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Return ``[*, 4]`` float64 boxes as x, y, width, height; from xyxy."""
    boxes = boxes.astype(np.float64)  # first: the width of float32 corners would be rounded once more
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def to_coco_results(collected: Collected, info: DatasetInfo) -> list[dict[str, Any]]:
    """Return one dictionary a detection: ``image_id`` and ``category_id`` as in the files, ``bbox`` (xywh), ``score``."""
    found = collected.found
    rows = zip(found["image"], found["label"], to_xywh(found["box"]).tolist(), found["score"].tolist(), strict=True)
    return [
        {
            "image_id": collected.image_ids[image],
            "category_id": info.category_ids[label],
            "bbox": box,
            "score": score,
        }
        for image, label, box, score in rows
    ]


def write_coco_results(path: Path | str, collected: Collected, info: DatasetInfo) -> None:
    """Write :func:`to_coco_results` as JSON; folders are made as needed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(to_coco_results(collected, info)), encoding="utf-8")
