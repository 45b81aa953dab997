"""EvaluatedImage: what was there and what was found in one image."""

from __future__ import annotations

from dataclasses import dataclass

from dettoolkit.structures.annotations import Annotations
from dettoolkit.structures.detections import Detections


@dataclass(frozen=True)
class EvaluatedImage:
    """One image with its ground truth and its detections, both in pixels of the original image, on the CPU.

    Args:
        image_id: what ``read_image`` of its data set takes.
        file_name: for people.
        size: (height, width) in pixels.
        ground_truth: all of it, crowd regions included.
        detections: highest score first.
    """

    image_id: int | str
    file_name: str
    size: tuple[int, int]
    ground_truth: Annotations
    detections: Detections
