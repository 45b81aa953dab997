"""Predictions and anchors -> detections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from dettoolkit.registry import NMS, Component
from dettoolkit.structures import DensePredictions, Detections


class DenseDecoder:
    """Keeps the best candidates of each level, decodes them and removes duplicates (RetinaNet, section 4.1).

    Args:
        coder: of the registry BOX_CODERS (wired).
        score_threshold: candidates need a score above it.
        candidates_per_level: at most this many of each level are decoded.
        max_detections: at most this many are returned for an image.
        nms: how duplicates are removed.
        clip: when boxes are cut at the border of the image: before_nms, so that duplicates are judged by what can be seen of
            them (torchvision), or after_nms (Detectron2).
        drop_empty: whether boxes of which nothing is left inside the image are dropped; torchvision keeps them.

    Raises:
        ValueError: a number out of range.
    """

    PARTS = {"NMS": Component(NMS, {"NAME": "BatchedNMS"}, doc="How duplicates are removed.")}  # noqa: RUF012

    def __init__(
        self,
        coder: Any,
        nms: Any,
        score_threshold: float = 0.05,
        candidates_per_level: int = 1000,
        max_detections: int = 100,
        clip: Literal["before_nms", "after_nms"] = "before_nms",
        drop_empty: bool = True,
    ) -> None:
        if not 0 <= score_threshold < 1 or candidates_per_level < 1 or max_detections < 1:
            raise ValueError(
                "expected score_threshold in [0, 1) and positive candidates_per_level and max_detections, "
                f"got {score_threshold}, {candidates_per_level} and {max_detections}"
            )
        self.coder, self.nms = coder, nms
        self.score_threshold = score_threshold
        self.candidates_per_level = candidates_per_level
        self.max_detections = max_detections
        self.clip = clip
        self.drop_empty = drop_empty

    @torch.no_grad()
    def __call__(
        self, predictions: DensePredictions, anchors: Sequence[Tensor], image_sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """Return the detections of each image, in the pixels of the padded batch, clipped to the image.

        All images are decoded together; only the removal of duplicates goes image by image, since one call for all would
        have to shift images apart by distances that cost float32 the fractions of a pixel.

        Args:
            predictions: what the head returned, of any float dtype; scores and boxes are computed in float32.
            anchors: L tensors ``[R_l, 4]``.
            image_sizes: (height, width) of each image before padding.
        """
        levels = zip(predictions.logits, predictions.deltas, anchors, strict=True)
        candidates = [self._level(*level) for level in levels]
        image, logits, labels, deltas, boxes = (torch.cat(parts) for parts in zip(*candidates, strict=True))
        order = torch.argsort(image, stable=True)  # by image, then by level, the best of a level first
        order = order[logits[order] > self._threshold]
        found = Detections(self.coder.decode(deltas[order], boxes[order]), logits[order].sigmoid(), labels[order])
        counts = torch.bincount(image[order], minlength=len(image_sizes)).tolist()
        parts = zip(found.boxes.split(counts), found.scores.split(counts), found.labels.split(counts), image_sizes, strict=True)
        return [self._image(Detections(*each), size) for *each, size in parts]

    @property
    def _threshold(self) -> float:
        # sigmoid grows with its logit: the threshold is put to the logits, and only survivors get a score
        return math.log(self.score_threshold / (1 - self.score_threshold)) if self.score_threshold else -math.inf

    def _level(self, logits: Tensor, deltas: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return image, logit, label, deltas and anchor of the candidates of all images, images in turn, best first."""
        num_anchors, num_classes = logits.shape[1:]
        select = _above if logits.device.type == "cpu" else _top
        best, position = select(logits.flatten(1), self._threshold, self.candidates_per_level)
        rows, labels = position // num_classes, position % num_classes
        return rows // num_anchors, best, labels, deltas.flatten(0, 1)[rows].float(), anchors[rows % num_anchors]

    def _image(self, candidates: Detections, size: tuple[int, int]) -> Detections:
        if self.clip == "before_nms":
            candidates = self._clipped(candidates, size)
        found = self.nms(candidates)[: self.max_detections]
        return found if self.clip == "before_nms" else self._clipped(found, size)

    def _clipped(self, detections: Detections, size: tuple[int, int]) -> Detections:
        height, width = size
        boxes = detections.boxes.clamp(min=0)
        boxes = torch.stack([boxes[:, 0::2].clamp(max=width), boxes[:, 1::2].clamp(max=height)], dim=2).flatten(1)
        detections = Detections(boxes, detections.scores, detections.labels)
        return detections[(boxes[:, 2:] > boxes[:, :2]).all(-1)] if self.drop_empty else detections


def _above(logits: Tensor, threshold: float, limit: int) -> tuple[Tensor, Tensor]:
    """Return the best of each row of ``logits [N, M]``, float32, and their positions among all N * M, row after row.

    At most ``limit`` of a row, the best of those above the threshold first.
    """
    threshold, size = _rounded_down(threshold, logits.dtype), logits.shape[1]
    candidates = []
    for index, row in enumerate(logits):
        kept = torch.nonzero(row > threshold).flatten()
        best, order = row[kept].float().topk(min(limit, len(kept)))
        candidates.append((best, kept[order] + index * size))
    values, positions = zip(*candidates, strict=True)
    return torch.cat(values), torch.cat(positions)


def _top(logits: Tensor, threshold: float, limit: int) -> tuple[Tensor, Tensor]:
    """Do as :func:`_above` without asking which are above: sorting is quick on accelerators, waiting for the number is not."""
    best, position = logits.float().topk(min(limit, logits.shape[1]), dim=1)
    starts = torch.arange(len(logits), device=logits.device)[:, None] * logits.shape[1]
    return best.flatten(), (position + starts).flatten()


def _rounded_down(threshold: float, dtype: torch.dtype) -> float:
    """Return the largest number of ``dtype`` that is not above ``threshold``: the same numbers are above either.

    A comparison would round it to the nearest, and take or leave bfloat16 scores that are on the other side of it.
    """
    exact = torch.tensor(threshold)
    rounded = exact.to(dtype)
    return float(rounded if rounded <= exact else torch.nextafter(rounded, torch.tensor(-math.inf, dtype=dtype)))
