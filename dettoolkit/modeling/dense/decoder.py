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

        Args:
            predictions: what the head returned.
            anchors: L tensors ``[R_l, 4]``.
            image_sizes: (height, width) of each image before padding.
        """
        predictions = predictions.float()
        return [self._image(predictions, index, anchors, size) for index, size in enumerate(image_sizes)]

    def _image(self, predictions: DensePredictions, index: int, anchors: Sequence[Tensor], size: tuple[int, int]) -> Detections:
        levels = zip(predictions.logits, predictions.deltas, anchors, strict=True)
        candidates = [self._level(logits[index], deltas[index], boxes) for logits, deltas, boxes in levels]
        boxes, scores, labels = (torch.cat(parts) for parts in zip(*candidates, strict=True))
        detections = Detections(boxes, scores, labels)
        if self.clip == "before_nms":
            detections = self._clipped(detections, size)
        detections = detections[self.nms(detections.boxes, detections.scores, detections.labels)[: self.max_detections]]
        return detections if self.clip == "before_nms" else self._clipped(detections, size)

    def _clipped(self, detections: Detections, size: tuple[int, int]) -> Detections:
        height, width = size
        boxes = detections.boxes.clamp(min=0)
        boxes = torch.minimum(boxes, boxes.new_tensor([width, height, width, height]))
        detections = Detections(boxes, detections.scores, detections.labels)
        return detections[(boxes[:, 2:] > boxes[:, :2]).all(-1)] if self.drop_empty else detections

    def _level(self, logits: Tensor, deltas: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # sigmoid grows with its logit: the threshold is put to the logits, and only survivors get a score
        threshold = math.log(self.score_threshold / (1 - self.score_threshold)) if self.score_threshold else -math.inf
        flat = logits.flatten()  # [R_l * K]
        kept = torch.nonzero(flat > threshold).flatten()
        best, order = flat[kept].topk(min(self.candidates_per_level, len(kept)))
        kept = kept[order]
        rows, labels = kept // logits.shape[-1], kept % logits.shape[-1]
        return self.coder.decode(deltas[rows], anchors[rows]), best.sigmoid(), labels
