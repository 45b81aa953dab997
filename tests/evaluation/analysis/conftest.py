"""Evaluated images with the difficulties of evaluation, and pycocotools run on them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch

from dettoolkit.structures import Annotations, Detections, EvaluatedImage


def _annotations(image: EvaluatedImage, number: int, start: int, part: Any) -> list[dict[str, Any]]:
    boxes = part.boxes.double()
    rows = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).tolist()
    return [
        {"id": start + index, "image_id": number, "category_id": label + 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for index, (box, label) in enumerate(zip(rows, part.labels.tolist(), strict=True))
    ]


def run_pycocotools(images: list[EvaluatedImage], num_classes: int, max_detections: int = 100) -> Any:
    """COCOeval after evaluate() and accumulate(); ids of images and categories count from 1, those of boxes from 1 too."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = [], []
    for number, image in enumerate(images, start=1):
        rows = _annotations(image, number, len(truth) + 1, image.ground_truth)
        for row, crowd in zip(rows, image.ground_truth.ignore.tolist(), strict=True):
            row["iscrowd"] = int(crowd)
        truth += rows
        rows = _annotations(image, number, len(found) + 1, image.detections)
        found += [row | {"score": score} for row, score in zip(rows, image.detections.scores.tolist(), strict=True)]
    sides = []
    with contextlib.redirect_stdout(io.StringIO()):
        for annotations in (truth, found):
            coco = COCO()
            coco.dataset = {
                "images": [{"id": number} for number in range(1, len(images) + 1)],
                "categories": [{"id": label} for label in range(1, num_classes + 1)],
                "annotations": annotations,
            }
            coco.createIndex()
            sides.append(coco)
        evaluation = COCOeval(*sides, "bbox")
        evaluation.params.maxDets = [max_detections]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


@pytest.fixture(scope="session")
def by_pycocotools() -> Callable[..., Any]:
    return run_pycocotools


@pytest.fixture(scope="session")
def random_images(random_set: Callable[..., Any]) -> Callable[..., list[EvaluatedImage]]:
    """The random set of 5 classes, the last of which has no ground truth, and an image that has nothing at all."""

    def build(seed: int, num_images: int = 40) -> list[EvaluatedImage]:
        given = random_set(seed, num_images)
        images = [
            EvaluatedImage(sample["image_id"], sample["file_name"], sample["original_size"], sample["original"], found)
            for sample, found in zip(given.samples, given.detections, strict=True)
        ]
        return [*images, EvaluatedImage("none", "none.jpg", (10, 10), Annotations.empty(), Detections.empty())]

    return build
