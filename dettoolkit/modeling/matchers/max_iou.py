"""Matching by the largest overlap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dettoolkit.modeling.matchers.largest_overlap import largest_overlaps
from dettoolkit.registry import MATCHERS
from dettoolkit.structures import IGNORED, NEGATIVE, Annotations, DensePredictions, Matches


@MATCHERS.register()
class MaxIoUMatcher:
    """Each anchor stands for the box that it overlaps most (RetinaNet, section 4; Faster R-CNN's rule for low overlaps).

    An anchor is positive from ``positive_from`` on, negative below ``negative_below``, and ignored in between. With
    ``allow_low_quality`` the anchors that overlap a box as much as any anchor does are positive too, for the box that
    *they* overlap most (Detectron2, torchvision), so that no box is without anchors.

    Args:
        positive_from: IoU from which an anchor is positive.
        negative_below: IoU below which it is negative.
        allow_low_quality: see above; the paper does without.
        ignore_crowd_from: share of an anchor's area inside a crowd region from which an anchor that is not positive is
            ignored; null: crowd regions are background, as Detectron2 trains.

    Raises:
        ValueError: thresholds out of order or outside of 0..1.
    """

    def __init__(
        self,
        positive_from: float = 0.5,
        negative_below: float = 0.4,
        allow_low_quality: bool = True,
        ignore_crowd_from: float | None = 0.5,
    ) -> None:
        if not 0 <= negative_below <= positive_from <= 1:
            raise ValueError(f"expected 0 <= negative_below <= positive_from <= 1, got {negative_below} and {positive_from}")
        self.positive_from = positive_from
        self.negative_below = negative_below
        self.allow_low_quality = allow_low_quality
        self.ignore_crowd_from = ignore_crowd_from

    @torch.no_grad()
    def __call__(
        self, anchors: Sequence[Tensor], annotations: Annotations, predictions: DensePredictions | None = None
    ) -> Matches:
        """Return the matches of one image.

        Args:
            anchors: L tensors ``[R_l, 4]``.
            annotations: the ground truth.
            predictions: not used by this matcher.
        """
        boxes = torch.cat(list(anchors))
        crowd = annotations.ignore
        indices = self._objects(boxes, annotations.boxes[~crowd])
        # indices count all annotations, crowds included
        positions = torch.nonzero(~crowd).flatten()
        positive = indices >= 0
        if len(positions) != len(crowd):
            indices = torch.where(positive, positions[indices.clamp(min=0)], indices) if len(positions) else indices
            if self.ignore_crowd_from is not None:
                inside = _intersection_over_area(boxes, annotations.boxes[crowd]).amax(1)
                indices = torch.where(~positive & (inside >= self.ignore_crowd_from), IGNORED, indices)
        return Matches(indices)

    def _objects(self, anchors: Tensor, objects: Tensor) -> Tensor:
        """Return ``[R]`` indices into ``objects [G, 4]``."""
        if not len(objects):
            return torch.full((len(anchors),), NEGATIVE, dtype=torch.int64, device=anchors.device)
        best, indices, among_the_best = largest_overlaps(anchors, objects)
        matched = torch.where(best < self.negative_below, NEGATIVE, IGNORED)
        positive = best >= self.positive_from
        if self.allow_low_quality:
            positive |= among_the_best
        return torch.where(positive, indices, matched)


def _intersection_over_area(anchors: Tensor, regions: Tensor) -> Tensor:
    """Return ``[R, G]``: the share of each anchor's area that lies inside each region."""
    low = torch.maximum(anchors[:, None, :2], regions[:, :2])
    high = torch.minimum(anchors[:, None, 2:], regions[:, 2:])
    area = (anchors[:, 2:] - anchors[:, :2]).prod(-1)
    return (high - low).clamp(min=0).prod(-1) / area[:, None]
