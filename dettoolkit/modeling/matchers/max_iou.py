"""Matching by the largest overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dettoolkit.distributed import picks_at_once
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
        if not len(annotations):
            return Matches(_negatives(boxes))
        match = self._with_rows_picked if picks_at_once(boxes.device) else self._with_rows_masked
        return Matches(match(boxes, annotations))

    def _with_rows_picked(self, anchors: Tensor, annotations: Annotations) -> Tensor:
        """Return ``[R]`` indices; they count all annotations, crowds included."""
        crowd = annotations.ignore
        indices = self._objects(anchors, annotations.boxes[~crowd])
        positions = torch.nonzero(~crowd).flatten()
        if len(positions) == len(crowd):
            return indices
        indices = torch.where(indices >= 0, positions[indices.clamp(min=0)], indices) if len(positions) else indices
        return self._without_crowds(indices, lambda: _intersection_over_area(anchors, annotations.boxes[crowd]))

    def _with_rows_masked(self, anchors: Tensor, annotations: Annotations) -> Tensor:
        """Return the same, computed with all rows: an accelerator is not asked how many crowds there are."""
        crowd = annotations.ignore
        if annotations.has_crowds is False:
            return self._objects(anchors, annotations.boxes)
        indices = self._objects(anchors, annotations.boxes, ~crowd)
        return self._without_crowds(
            indices, lambda: _intersection_over_area(anchors, annotations.boxes).masked_fill(~crowd, float("-inf"))
        )

    def _without_crowds(self, indices: Tensor, inside_regions: Callable[[], Tensor]) -> Tensor:
        """Return ``indices [R]`` with IGNORED for anchors that are neither positive nor outside, by shares ``[R, G]``."""
        if self.ignore_crowd_from is None:
            return indices
        return torch.where((indices < 0) & (inside_regions().amax(1) >= self.ignore_crowd_from), IGNORED, indices)

    def _objects(self, anchors: Tensor, objects: Tensor, counted: Tensor | None = None) -> Tensor:
        """Return ``[R]`` indices into ``objects [G, 4]``, of which those count that ``counted [G]`` says, or all."""
        if not len(objects):
            return _negatives(anchors)
        best, indices, among_the_best = largest_overlaps(anchors, objects, counted)
        matched = torch.where(best < self.negative_below, NEGATIVE, IGNORED)
        positive = best >= self.positive_from
        if self.allow_low_quality:
            positive |= among_the_best
        return torch.where(positive, indices, matched)


def _negatives(anchors: Tensor) -> Tensor:
    return torch.full((len(anchors),), NEGATIVE, dtype=torch.int64, device=anchors.device)


def _intersection_over_area(anchors: Tensor, regions: Tensor) -> Tensor:
    """Return ``[R, G]``: the share of each anchor's area that lies inside each region."""
    low = torch.maximum(anchors[:, None, :2], regions[:, :2])
    high = torch.minimum(anchors[:, None, 2:], regions[:, 2:])
    area = (anchors[:, 2:] - anchors[:, :2]).prod(-1)
    return (high - low).clamp(min=0).prod(-1) / area[:, None]
