"""VocEvaluator: average precision as PASCAL VOC defines it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torchvision.ops import box_iou

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation.coco_results import to_coco_results, write_coco_results
from dettoolkit.evaluation.collector import Collected, Collector
from dettoolkit.evaluation.evaluator import Results
from dettoolkit.registry import EVALUATORS
from dettoolkit.structures import DatasetInfo, Detections, Sample

AreaRule: TypeAlias = Literal["07", "all_points"]

RIGHT, WRONG, NEITHER = 1, 0, -1


@EVALUATORS.register()
class VocEvaluator:
    """Average precision at one IoU threshold, as the development kit of PASCAL VOC computes it, in 0..1.

    Detections come in the order of their scores, over all images. Each goes to the ground-truth box of its class that it
    overlaps most: right if that reaches the threshold and nobody was there before; neither right nor wrong if that box is to
    be ignored ("difficult"); wrong otherwise. Boxes are continuous: no pixel is added to their sides.

    Args:
        info: of the data set.
        metric: how the area under the precision-recall curve is taken: all_points since VOC 2010, 07 (eleven recalls) before.
        iou_threshold: from which IoU on a detection is right.

    Raises:
        ValueError: the threshold is not in 0..1.
    """

    def __init__(self, info: DatasetInfo, metric: AreaRule = "all_points", iou_threshold: float = 0.5) -> None:
        if not 0 < iou_threshold <= 1:
            raise ValueError(f"iou_threshold: expected more than 0 and at most 1, got {iou_threshold}")
        self.info = info
        self.metric: AreaRule = metric
        self.iou_threshold = iou_threshold
        self._collector = Collector(info.class_names)
        self._collected: Collected | None = None

    def reset(self) -> None:
        """Forget all images."""
        self._collector.reset()
        self._collected = None

    def update(self, samples: Sequence[Sample], detections: Sequence[Detections]) -> None:
        """Take the detections of some images, in the pixels of the original images; see :meth:`Collector.add`."""
        self._collector.add(samples, detections)

    def compute(self) -> Results:
        """Return the numbers over the images of all processes, which must all call it.

        Returns:
            ``{"voc": {"AP50": ..., "per_class": {name: {"AP50": ...}}}}``, the key after the IoU threshold; None for a class
            without ground truth, which is left out of the mean.

        Raises:
            EvaluationError: no images.
        """
        return self._collector.reduce(self._evaluate)

    def _evaluate(self, collected: Collected) -> Results:
        self._collected = collected
        key = f"AP{100 * self.iou_threshold:g}"
        by_class = [self._of_class(collected, label) for label in range(self.info.num_classes)]
        present = [value for value in by_class if value is not None]
        per_class = {name: {key: value} for name, value in zip(self.info.class_names, by_class, strict=True)}
        return {"voc": {key: float(np.mean(present)) if present else None, "per_class": per_class}}

    def _of_class(self, collected: Collected, label: int) -> float | None:
        truth = collected.truth[collected.truth["label"] == label]
        found = collected.found[collected.found["label"] == label]
        num_truth = int((~truth["ignore"]).sum())
        if num_truth == 0:
            return None
        found = found[np.argsort(-found["score"], kind="stable")]
        verdicts = judge(found, truth, self.iou_threshold)
        right, wrong = np.cumsum(verdicts == RIGHT), np.cumsum(verdicts == WRONG)
        precision = right / np.maximum(right + wrong, 1)
        return average_precision(right / num_truth, precision, self.metric)

    def collected(self) -> Collected:
        """Return the ground truth and the detections of all images, as of the last compute().

        Raises:
            EvaluationError: nothing was computed, or this is not the main process, which alone keeps the images.
        """
        return self._last()

    def to_coco_results(self) -> list[dict[str, Any]]:
        """Return all detections in COCO's results format, with the data set's own ids, as of the last compute().

        Raises:
            EvaluationError: nothing was computed, or this is not the main process, which alone keeps the images.
        """
        return to_coco_results(self._last(), self.info)

    def write_coco_results(self, path: Path | str) -> None:
        """Write :meth:`to_coco_results` as a JSON file (``predictions.json``).

        Raises:
            EvaluationError: nothing was computed, or this is not the main process, which alone keeps the images.
        """
        write_coco_results(path, self._last(), self.info)

    def _last(self) -> Collected:
        if self._collected is None:
            raise EvaluationError("call compute() first; afterwards the main process has the detections")
        return self._collected


def judge(found: np.ndarray, truth: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Say of each detection of one class whether it is right.

    Args:
        found: ``[D]`` rows (see :class:`Collected`), highest score first.
        truth: ``[G]`` rows, by image.
        iou_threshold: from which IoU on a detection is right.

    Returns:
        ``[D]`` int64: ``RIGHT``, ``WRONG`` or ``NEITHER``.
    """
    verdicts = np.full(len(found), WRONG)
    order = np.argsort(found["image"], kind="stable")
    starts = np.flatnonzero(np.diff(found["image"][order], prepend=-1))
    for rows in np.split(order, starts[1:]) if len(order) else []:
        first, last = np.searchsorted(truth["image"], found["image"][rows[0]] + np.arange(2))
        if first < last:
            verdicts[rows] = _judge_image(found[rows], truth[first:last], iou_threshold)
    return verdicts


def _judge_image(found: np.ndarray, truth: np.ndarray, iou_threshold: float) -> list[int]:
    boxes = [torch.from_numpy(rows["box"].astype(np.float64)) for rows in (found, truth)]
    overlaps, nearest = box_iou(*boxes).max(dim=1)
    verdicts, taken = [], set()
    for overlap, index in zip(overlaps.tolist(), nearest.tolist(), strict=True):
        if overlap < iou_threshold:
            verdicts.append(WRONG)
        elif truth["ignore"][index]:
            verdicts.append(NEITHER)
        else:
            verdicts.append(WRONG if index in taken else RIGHT)
            taken.add(index)
    return verdicts


def average_precision(recall: np.ndarray, precision: np.ndarray, metric: AreaRule) -> float:
    """Return the area under a precision-recall curve.

    Args:
        recall: ``[D]``, ascending.
        precision: ``[D]``.
        metric: "all_points": the exact area under the curve after each precision was raised to the best one at a higher
            recall; "07": the mean of that curve at the recalls 0, 0.1, ..., 1.
    """
    envelope = np.maximum.accumulate(precision[::-1])[::-1]  # best precision at this recall or above
    if metric == "all_points":
        return float(np.sum(np.diff(recall, prepend=0.0) * envelope))
    positions = np.searchsorted(recall, np.arange(11) / 10)
    return float(np.mean(np.append(envelope, 0.0)[positions]))
