"""Sample: one image with its annotations on the way through the transforms; and the way back to the original pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from torch import Tensor

from dettoolkit.structures.annotations import Annotations
from dettoolkit.structures.detections import Detections

if TYPE_CHECKING:  # torchvision is imported by those who make samples, not by those who name them
    from torchvision.tv_tensors import BoundingBoxes, Image


@dataclass(frozen=True)
class WayBack:
    """How a point of a transformed image maps to the original one: ``original = scale * transformed + offset``, by axis.

    Resizing, padding and flipping are of this form (a flip has a negative scale).

    Args:
        scale: (x, y).
        offset: (x, y), pixels of the original image.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    def boxes(self, boxes: Tensor, original_size: tuple[int, int]) -> Tensor:
        """Return ``[*, 4]`` xyxy boxes in the pixels of the original image, clipped to its (height, width)."""
        scale = boxes.new_tensor([*self.scale, *self.scale])
        offset = boxes.new_tensor([*self.offset, *self.offset])
        corners = (boxes * scale + offset).unflatten(-1, (2, 2))  # [*, 2 corners, xy]
        height, width = original_size
        limit = boxes.new_tensor([width, height])
        corners = corners.sort(dim=-2).values  # a flip swaps the corners
        return corners.clamp(min=0).minimum(limit).flatten(-2)

    def detections(self, detections: Detections, original_size: tuple[int, int]) -> Detections:
        """Return detections in the pixels of the original image."""
        return Detections(self.boxes(detections.boxes, original_size), detections.scores, detections.labels)


class Sample(TypedDict, total=False):
    """One image and what is known of it: a dictionary, so that ``torchvision.transforms.v2`` walks through it.

    Keys:
        image: ``[C, H, W]`` uint8 RGB, or what a config declares: other channels, float32 in 0..255.
        boxes: ``[G, 4]`` float32 xyxy, the only ``BoundingBoxes`` of the sample.
        labels: ``[G]`` int64.
        ignore: ``[G]`` bool.
        image_id: the id in the annotation file.
        file_name: the path as the data set names it, for people.
        original_size: (height, width) after orientation, before the transforms.
        way_back: from the transformed to the original pixels; set by test pipelines.
        original: the annotations in original pixels, all of them, for evaluation.
        view: which part of the image this is and how it was prepared, where the image is looked at several times.
        num_views: how many such looks there are.
        original_areas: ``[G]`` float32 areas as the annotation file gives them (COCO: of the segment), for AP by size.
    """

    image: Image
    boxes: BoundingBoxes
    labels: Tensor
    ignore: Tensor
    image_id: int | str
    file_name: str
    original_size: tuple[int, int]
    way_back: WayBack
    original: Annotations
    view: Any
    num_views: int
    original_areas: Tensor
