"""Predictions and anchors -> detections in tensors of fixed shapes, which is what a graph can do of :class:`DenseDecoder`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from dettoolkit.modeling.dense import DenseDecoder
from dettoolkit.structures import DensePredictions

KeepBest: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]

_NOTHING = -1.0  # the score of a place without a box


class FixedShapeDecoder:
    """Decodes as a :class:`DenseDecoder` with the same settings does, into tensors whose shapes depend on N alone.

    What the threshold leaves out stays behind what it lets through: duplicates are removed from the best box on, so boxes
    below the threshold cannot change those above it.

    Args:
        decoder: whose settings and box coder are used.
        keep_best: ``(boxes [N, M, 4], scores [N, M], labels [N, M]) -> [N, M]`` bool, which of them NMS keeps; None: duplicates
            stay.
    """

    def __init__(self, decoder: DenseDecoder, keep_best: KeepBest | None) -> None:
        self.decoder = decoder
        self.keep_best = keep_best
        threshold = decoder.score_threshold
        self._threshold = math.log(threshold / (1 - threshold)) if threshold else -math.inf  # of logits, as in the decoder

    def __call__(
        self, predictions: DensePredictions, anchors: Sequence[Tensor], image_sizes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return boxes ``[N, D, 4]``, scores ``[N, D]``, labels ``[N, D]`` and counts ``[N]``, best first.

        The first ``counts`` places of an image are above the score threshold, what follows is below it, or nothing: its score
        is then -1. D is ``max_detections``, or, where duplicates stay, ``candidates_per_level`` of each level.

        Args:
            predictions: what the head returned.
            anchors: L tensors ``[R_l, 4]``.
            image_sizes: ``[N, 2]`` int64 (height, width) of each image before padding.
        """
        levels = zip(predictions.logits, predictions.deltas, anchors, strict=True)
        candidates = [self._level(logits.float(), deltas.float(), boxes) for logits, deltas, boxes in levels]
        boxes, logits, labels = (torch.cat(parts, dim=1) for parts in zip(*candidates, strict=True))
        is_something = logits > -math.inf
        if self.decoder.clip == "before_nms":
            boxes, is_something = self._clipped(boxes, image_sizes, is_something)
        scores = torch.where(is_something, logits.sigmoid(), _NOTHING)
        if self.keep_best is None:
            boxes, scores, labels, logits = best_first(boxes, scores, labels, logits)
        else:
            scores = torch.where(self.keep_best(boxes, scores, labels), scores, _NOTHING)
            boxes, scores, labels, logits = best_first(boxes, scores, labels, logits, self.decoder.max_detections)
            if self.decoder.clip == "after_nms":
                boxes, is_something = self._clipped(boxes, image_sizes, scores >= 0)
                scores = torch.where(is_something, scores, _NOTHING)
                boxes, scores, labels, logits = best_first(boxes, scores, labels, logits)
        counts = ((logits > self._threshold) & (scores >= 0)).sum(dim=1)
        return boxes, scores, labels, counts

    def _level(self, logits: Tensor, deltas: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes, logits and labels of the best ``candidates_per_level``; a logit of -inf where a level has fewer."""
        count, num_classes = self.decoder.candidates_per_level, logits.shape[2]
        # the best pairs of anchor and class are among those of the anchors with the best classes, which are fewer to sort
        rows = functional.pad(logits.amax(dim=2), (0, count), value=-math.inf).topk(count).indices  # [N, count]
        is_padding = rows >= logits.shape[1]
        rows = rows.clamp(max=logits.shape[1] - 1)
        chosen = logits.gather(1, rows[..., None].expand(-1, -1, num_classes))
        chosen = chosen.masked_fill(is_padding[..., None], -math.inf)
        best, position = chosen.flatten(1).topk(count)
        rows = rows.gather(1, position // num_classes)
        boxes = self.decoder.coder.decode(deltas.gather(1, rows[..., None].expand(-1, -1, 4)), anchors[rows])
        return boxes, best, position % num_classes

    def _clipped(self, boxes: Tensor, image_sizes: Tensor, is_something: Tensor) -> tuple[Tensor, Tensor]:
        limit = image_sizes.flip(1).to(boxes.dtype).repeat(1, 2)[:, None]  # [N, 1, (width, height, width, height)]
        boxes = torch.minimum(boxes.clamp(min=0), limit)
        if self.decoder.drop_empty:
            is_something = is_something & (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)
        return boxes, is_something


def best_first(boxes: Tensor, scores: Tensor, labels: Tensor, logits: Tensor, count: int | None = None) -> Any:
    """Return the same tensors ``[N, M, ...]`` with the highest scores first, at most ``count`` of each image."""
    places = scores.shape[1]
    best, order = scores.topk(min(count or places, places))
    return boxes.gather(1, order[..., None].expand(-1, -1, 4)), best, labels.gather(1, order), logits.gather(1, order)
