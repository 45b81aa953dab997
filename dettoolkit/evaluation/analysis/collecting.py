"""Between what evaluators keep of images, compact arrays, and what analysis looks at, one image after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from dettoolkit.evaluation.collector import FOUND, TRUTH, Collected
from dettoolkit.structures import Annotations, Detections, EvaluatedImage


def evaluated_images(collected: Collected, file_name: Callable[[int | str], str]) -> list[EvaluatedImage]:
    """Return the images that an evaluator has collected.

    Args:
        collected: of all images and processes.
        file_name: image id -> the name of its file, for people.
    """
    numbers = np.arange(len(collected.image_ids) + 1)
    truth_bounds, found_bounds = (np.searchsorted(rows["image"], numbers) for rows in (collected.truth, collected.found))
    images = []
    for number, image_id in enumerate(collected.image_ids):
        height, width = collected.image_sizes[number].tolist()
        truth = collected.truth[truth_bounds[number] : truth_bounds[number + 1]]
        found = collected.found[found_bounds[number] : found_bounds[number + 1]]
        annotations = Annotations(_tensor(truth["box"]), _tensor(truth["label"]).long(), _tensor(truth["ignore"]))
        detections = Detections(_tensor(found["box"]), _tensor(found["score"]), _tensor(found["label"]).long())
        images.append(EvaluatedImage(image_id, file_name(image_id), (height, width), annotations, detections))
    return images


def collect_images(images: Sequence[EvaluatedImage]) -> Collected:
    """Return images as an evaluator keeps them; the area of an object is that of its box."""
    sizes = np.array([image.size for image in images], dtype=np.int64).reshape(-1, 2)
    truth, found = [np.empty(0, TRUTH)], [np.empty(0, FOUND)]
    for number, image in enumerate(images):
        annotations, detections = image.ground_truth, image.detections
        rows = np.empty(len(annotations), TRUTH)
        rows["image"], rows["box"], rows["label"] = number, annotations.boxes.numpy(), annotations.labels.numpy()
        rows["ignore"] = annotations.ignore.numpy()
        sides = rows["box"][:, 2:].astype(np.float64) - rows["box"][:, :2]
        rows["area"] = sides[:, 0] * sides[:, 1]
        truth.append(rows)
        rows = np.empty(len(detections), FOUND)
        rows["image"], rows["box"], rows["label"] = number, detections.boxes.float().numpy(), detections.labels.numpy()
        rows["score"] = detections.scores.float().numpy()
        found.append(rows)
    return Collected([image.image_id for image in images], sizes, np.concatenate(truth), np.concatenate(found))


def _tensor(column: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(column))  # a copy: the strides of one row of several fields are odd
