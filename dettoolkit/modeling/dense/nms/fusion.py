"""WeightedBoxFusion: overlapping boxes become their average (Solovyev et al., Image and Vision Computing 2021)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dettoolkit.modeling.dense.nms.greedy import checked_threshold
from dettoolkit.modeling.dense.nms.grid import Grid
from dettoolkit.modeling.dense.nms.overlap import overlaps
from dettoolkit.registry import NMS
from dettoolkit.structures import Detections


@NMS.register()
class WeightedBoxFusion:
    """Boxes that overlap become one: their average, weighted by score. It is meant for merging several views of an image.

    From the best box on, each joins the group whose average it overlaps most, or begins one of its own. It goes box by box,
    on the CPU.

    Args:
        iou_threshold: a box joins a group whose average it overlaps by more; 0.55 in the paper.
        score: of a group: ``average`` of its boxes, times the share of the views that could have shown it and did (the
            paper); ``max``: of its best box.
        class_agnostic: whether boxes of several classes can make a group, which then has the class of its best box.

    Raises:
        ValueError: a threshold outside of 0..1.
    """

    averages_scores = True

    def __init__(
        self, iou_threshold: float = 0.55, score: Literal["average", "max"] = "average", class_agnostic: bool = False
    ) -> None:
        self.iou_threshold = checked_threshold(iou_threshold)
        self.score = score
        self.class_agnostic = class_agnostic

    def __call__(self, candidates: Detections, num_views: Tensor | None = None) -> Detections:
        """Return one detection for each group, best first.

        Args:
            candidates: D boxes of one image.
            num_views: ``[D]`` int64, how many views could have shown each of them; None: one. A group that fewer views have
                found than could have is trusted less.
        """
        if not len(candidates):
            return candidates
        order = candidates.scores.argsort(descending=True, stable=True)
        ranked = candidates[order].to("cpu")
        groups, boxes = self._groups(ranked)
        scores = ranked.scores.double().numpy()
        counts = np.bincount(groups)
        fused = np.maximum.reduceat(scores[np.argsort(groups, kind="stable")], np.cumsum([0, *counts[:-1]]))
        if self.score == "average":
            views = np.ones(len(ranked)) if num_views is None else num_views.cpu().double().numpy()[order.cpu().numpy()]
            expected = np.bincount(groups, weights=views) / counts
            fused = np.bincount(groups, weights=scores) / counts * np.minimum(counts, expected) / expected
        first = np.unique(groups, return_index=True)[1]
        labels = ranked.labels[torch.from_numpy(first)]
        found = Detections(torch.from_numpy(boxes).float(), torch.from_numpy(fused).float(), labels)
        return found[found.scores.argsort(descending=True, stable=True)].to(candidates.boxes.device)

    def _groups(self, ranked: Detections) -> tuple[np.ndarray, np.ndarray]:
        """Return the group of each candidate ``[D]``, numbered in the order of their best boxes, and their boxes ``[C, 4]``."""
        boxes, scores = ranked.boxes.double().numpy(), ranked.scores.double().numpy().clip(1e-12)  # 0 has no weight
        labels = np.zeros(len(boxes)) if self.class_agnostic else ranked.labels.numpy()
        averages, weights, of_group = np.zeros((len(boxes), 4)), np.zeros(len(boxes)), np.zeros(len(boxes))
        groups, count, grid = np.zeros(len(boxes), dtype=np.int64), 0, Grid(boxes)
        for index, (box, score, label) in enumerate(zip(boxes, scores, labels, strict=True)):
            near = grid.near(box)
            overlap = overlaps(box, averages[near]) * (of_group[near] == label)
            best = int(overlap.argmax()) if len(near) else -1
            if best < 0 or overlap[best] <= self.iou_threshold:
                group, count = count, count + 1
                of_group[group] = label
            else:
                group = int(near[best])
            averages[group] = (averages[group] * weights[group] + box * score) / (weights[group] + score)
            weights[group] += score
            groups[index] = group
            grid.put(group, averages[group])
        return groups, averages[:count]
