"""The gallery: which images a report shows, as plain data for its script."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from dettoolkit.report.matching import Outcome, match_detections
from dettoolkit.structures import EvaluatedImage

ReadImage = Callable[[Any], Tensor]

_LOWEST_SCORE = 0.05  # where the score slider begins; lower detections would only make the page heavy


def choose_images(
    images: Sequence[EvaluatedImage], max_images: int, score_threshold: float
) -> list[tuple[EvaluatedImage, Outcome]]:
    """Return the images to show with their outcomes, most errors first.

    Three quarters of the places go to the images with the most missed and false boxes, the others to images at even
    distances among the rest, so that the page shows the rule as well as the exception.
    """
    outcomes = [match_detections(image.ground_truth, image.detections) for image in images]
    errors = [
        outcome.num_errors(image.ground_truth, image.detections, score_threshold)
        for image, outcome in zip(images, outcomes, strict=True)
    ]
    order = sorted(range(len(images)), key=lambda index: -errors[index])
    if len(order) > max_images:
        num_worst = max_images - max_images // 4
        rest = order[num_worst:]
        num_others = max_images - num_worst
        order = order[:num_worst] + [rest[(2 * place + 1) * len(rest) // (2 * num_others)] for place in range(num_others)]
    return [(images[index], outcomes[index]) for index in order]


def gallery_entry(image: EvaluatedImage, outcome: Outcome, read_image: ReadImage, thumbnail_side: int) -> dict[str, Any]:
    """Return one image as the page's script reads it; boxes are [x, y, width, height] in pixels of the image."""
    boxes, truth = _xywh(image.detections.boxes), _xywh(image.ground_truth.boxes)
    scores, labels = image.detections.scores.tolist(), image.detections.labels.tolist()
    shown = [index for index in image.detections.scores.argsort(descending=True).tolist() if scores[index] >= _LOWEST_SCORE]
    return {
        "name": image.file_name,
        "height": image.size[0],
        "width": image.size[1],
        "thumbnail": thumbnail(read_image(image.image_id), thumbnail_side),
        "truth": [
            {"box": box, "label": label, "ignore": ignore, "found": None if found is None else round(found, 4)}
            for box, label, ignore, found in zip(
                truth,
                image.ground_truth.labels.tolist(),
                image.ground_truth.ignore.tolist(),
                outcome.found_from,
                strict=True,
            )
        ],
        "detections": [
            {
                "box": boxes[index],
                "label": labels[index],
                "score": round(scores[index], 4),
                "match": outcome.matched[index],
                "iou": round(outcome.overlaps[index], 2),
            }
            for index in shown
        ],
    }


def thumbnail(image: Tensor, side: int) -> str:
    """Return a ``[3, H, W]`` uint8 RGB image as a JPEG data URI whose longer side is at most ``side`` pixels."""
    from PIL import Image

    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    picture.thumbnail((side, side))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=78, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def _xywh(boxes: Tensor) -> list[list[float]]:
    left_top, right_bottom = boxes[:, :2], boxes[:, 2:]
    return [
        [round(value, 1) for value in corner + size]
        for corner, size in zip(left_top.tolist(), (right_bottom - left_top).tolist(), strict=True)
    ]
