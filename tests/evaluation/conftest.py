"""Small data sets with the difficulties that evaluation must survive: crowds, empty images, equal scores, absent classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from dettoolkit.structures import Annotations, DatasetInfo, Detections, Sample


@dataclass
class EvaluationSet:
    """Samples with their detections, and the same ground truth as a COCO file holds it."""

    info: DatasetInfo
    samples: list[Sample]
    detections: list[Detections]

    @property
    def coco(self) -> dict[str, Any]:
        annotations = [
            {
                "image_id": sample["image_id"],
                "category_id": self.info.category_ids[label],
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                "area": area,
                "iscrowd": int(ignore),
            }
            for sample in self.samples
            for box, label, ignore, area in zip(
                sample["original"].boxes.tolist(),
                sample["original"].labels.tolist(),
                sample["original"].ignore.tolist(),
                sample["original_areas"].tolist(),
                strict=True,
            )
        ]
        return {
            "images": [{"id": sample["image_id"]} for sample in self.samples],
            "categories": [
                {"id": id, "name": name} for id, name in zip(self.info.category_ids, self.info.class_names, strict=True)
            ],
            "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, start=1)],
        }


def make_sample(
    image_id: int | str,
    boxes: list[list[float]],
    labels: list[int],
    ignore: list[bool] | None = None,
    size: tuple[int, int] = (300, 400),
) -> Sample:
    annotations = Annotations(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor([False] * len(boxes) if ignore is None else ignore, dtype=torch.bool),
    )
    return Sample(image_id=image_id, file_name=f"{image_id}.jpg", original_size=size, original=annotations)


def make_detections(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.tensor(scores), torch.tensor(labels, dtype=torch.int64)
    )


def _random_image(generator: np.random.Generator, image_id: int) -> tuple[Sample, Detections]:
    count = int(generator.integers(0, 8)) if image_id % 4 else 0  # every fourth image is empty
    sides = generator.integers(6, 180, (count, 2))  # all three of COCO's ranges of sizes
    corners = generator.integers(0, 200, (count, 2))
    labels = generator.integers(0, 4, count)  # of 5 classes: the last one has no ground truth
    sample = make_sample(image_id, np.hstack([corners, corners + sides]).tolist(), labels.tolist())
    sample["original"].ignore = torch.from_numpy(generator.random(count) < 0.15)
    sample["original_areas"] = torch.from_numpy((sides.prod(1) * generator.uniform(0.5, 1.0, count)).astype(np.float32))
    found, wrong = np.repeat(sample["original"].boxes.numpy(), 3, axis=0), int(generator.integers(0, 30))
    found = found + generator.normal(0, 6, found.shape)
    noise = generator.uniform(0, 200, (wrong, 2))
    boxes = np.vstack([found, np.hstack([noise, noise + generator.uniform(5, 100, (wrong, 2))])])
    found_labels = np.concatenate([np.repeat(labels, 3), generator.integers(0, 5, wrong)])
    scores = np.round(generator.random(len(boxes)), 1)  # eleven values: many are equal
    order = np.argsort(-scores, kind="stable")
    return sample, make_detections(boxes[order].tolist(), scores[order].tolist(), found_labels[order].tolist())


@pytest.fixture(scope="session")
def random_set() -> Callable[[int], EvaluationSet]:
    def build(seed: int, num_images: int = 40) -> EvaluationSet:
        generator = np.random.default_rng(seed)
        info = DatasetInfo("random", ("a", "b", "c", "d", "never"), (7, 3, 90, 11, 2))
        image_ids = generator.permutation(1000)[:num_images].tolist()  # ids in no order
        pairs = [_random_image(generator, image_id) for image_id in image_ids]
        return EvaluationSet(info, [sample for sample, _ in pairs], [found for _, found in pairs])

    return build


@pytest.fixture(scope="session")
def sample_of() -> Callable[..., Sample]:
    return make_sample


@pytest.fixture(scope="session")
def detections_of() -> Callable[..., Detections]:
    return make_detections
