"""SoftNMS: overlapping boxes are trusted less instead of not at all (Bodla et al., ICCV 2017)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dettoolkit.modeling.dense.nms.greedy import checked_threshold
from dettoolkit.modeling.dense.nms.overlap import overlaps
from dettoolkit.registry import NMS
from dettoolkit.structures import Detections


@NMS.register()
class SoftNMS:
    """Takes the best box, lowers the scores of those that overlap it, and so on with the best of what is left.

    Objects that really overlap stay, with lower scores; AP gains by it, pictures get more boxes. It goes box by box, on the
    CPU: 0.1 to 0.7 s for the 5,000 candidates that an image can have, where greedy suppression takes hundredths.

    Args:
        method: by what a score is multiplied: ``gaussian``: exp(-IoU² / sigma); ``linear``: 1 - IoU, from the threshold on.
        sigma: of ``gaussian``; 0.5 in the paper.
        iou_threshold: of ``linear``; 0.3 in the paper.
        score_threshold: boxes whose score falls below it are dropped; it should not be above the decoder's.
        class_agnostic: whether boxes of other classes count too.

    Raises:
        ValueError: a number out of range.
    """

    keeps_overlaps = True  # an object keeps many boxes of low scores, which fusion must not average in

    def __init__(
        self,
        method: Literal["gaussian", "linear"] = "gaussian",
        sigma: float = 0.5,
        iou_threshold: float = 0.3,
        score_threshold: float = 0.001,
        class_agnostic: bool = False,
    ) -> None:
        if sigma <= 0 or not 0 <= score_threshold < 1:
            raise ValueError(f"expected sigma > 0 and score_threshold in [0, 1), got {sigma} and {score_threshold}")
        self.method, self.sigma = method, sigma
        self.iou_threshold = checked_threshold(iou_threshold)
        self.score_threshold = score_threshold
        self.class_agnostic = class_agnostic

    def __call__(self, candidates: Detections, num_views: Tensor | None = None) -> Detections:
        """Return the candidates with their lowered scores, best first; ``num_views`` has no effect."""
        boxes = candidates.boxes.cpu().double().numpy()
        scores = candidates.scores.cpu().double().numpy().copy()
        labels = np.zeros(len(boxes)) if self.class_agnostic else candidates.labels.cpu().numpy()
        for label in np.unique(labels):
            mine = np.flatnonzero(labels == label)
            scores[mine] = self._lowered(boxes[mine], scores[mine])
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= self.score_threshold]
        kept = torch.from_numpy(order).to(candidates.boxes.device)
        return Detections(
            candidates.boxes[kept], torch.from_numpy(scores[order]).to(candidates.scores), candidates.labels[kept]
        )

    def _lowered(self, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """Return the scores ``[D]`` in float64 that boxes of one class end with."""
        is_left = np.ones(len(boxes), dtype=bool)
        scores = scores.copy()
        for _ in range(len(boxes)):
            best = int(np.where(is_left, scores, -1.0).argmax())
            if scores[best] < self.score_threshold:
                break
            is_left[best] = False
            scores[is_left] *= self._factors(overlaps(boxes[best], boxes[is_left]))
        return scores

    def _factors(self, overlap: np.ndarray) -> np.ndarray:
        if self.method == "gaussian":
            return np.exp(-(overlap**2) / self.sigma)
        return np.where(overlap > self.iou_threshold, 1 - overlap, 1.0)
