"""CocoEvaluator: average precision as COCO defines it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dettoolkit.errors import EvaluationError
from dettoolkit.evaluation.coco_backend import ALL, LARGE, MEDIUM, SMALL, Accumulated, Backend, accumulate
from dettoolkit.evaluation.coco_results import to_coco_results, write_coco_results
from dettoolkit.evaluation.collector import Collected, Collector
from dettoolkit.evaluation.curves import PrecisionRecall
from dettoolkit.evaluation.evaluator import Results
from dettoolkit.evaluation.low_ap import explain_low_ap
from dettoolkit.registry import EVALUATORS
from dettoolkit.structures import DatasetInfo, Detections, Sample

logger = logging.getLogger(__name__)

LOW_AP = 0.01
IOU_50, IOU_75 = 0, 5  # positions in COCO's IoU thresholds 0.50, 0.55, ..., 0.95


@EVALUATORS.register()
class CocoEvaluator:
    """Average precision and recall over IoU 0.50 to 0.95, as COCO defines them, in 0..1.

    An average over nothing (a class or a range of sizes without ground truth) is None and left out of means; ground truth
    that nobody detected gives 0.

    Args:
        info: of the data set.
        backend: the library that matches and accumulates; both give the same numbers, faster_coco_eval sooner.
        max_detections: limits of detections an image and class, ascending: an ``AR<limit>`` each; AP takes the last, which is
            100 in everything published on COCO.

    Raises:
        ValueError: the limits are not positive and ascending.
    """

    def __init__(
        self,
        info: DatasetInfo,
        backend: Backend = "faster_coco_eval",
        max_detections: tuple[int, ...] = (1, 10, 100),
    ) -> None:
        if not max_detections or min(max_detections) < 1 or sorted(set(max_detections)) != list(max_detections):
            raise ValueError(f"max_detections: expected positive whole numbers, ascending, got {list(max_detections)}")
        self.info = info
        self.backend = backend
        self.max_detections = tuple(max_detections)
        self._collector = Collector(info.class_names)
        self._evaluated: tuple[Collected, Accumulated] | None = None

    def reset(self) -> None:
        """Forget all images."""
        self._collector.reset()
        self._evaluated = None

    def update(self, samples: Sequence[Sample], detections: Sequence[Detections]) -> None:
        """Take the detections of some images, in the pixels of the original images; see :meth:`Collector.add`."""
        self._collector.add(samples, detections)

    def compute(self) -> Results:
        """Return the numbers over the images of all processes, which must all call it.

        Returns:
            ``{"bbox": {...}}`` with AP, AP50, AP75, APs, APm, APl, AR<limit>, ARs, ARm, ARl and ``per_class``: name ->
            AP and AP50.

        Raises:
            EvaluationError: no images.
        """
        return self._collector.reduce(self._evaluate)

    def _evaluate(self, collected: Collected) -> Results:
        accumulated = accumulate(collected, self.info.num_classes, self.max_detections, self.backend)
        self._evaluated = collected, accumulated
        numbers = self._summary(accumulated)
        counts = (len(collected.image_ids), len(collected.truth), int(collected.truth["ignore"].sum()), len(collected.found))
        logger.info("%s: %d images, %d boxes (%d of them ignored), %d detections", self.info.name, *counts)
        if numbers["AP"] is None:
            logger.warning("%s has no box that counts: there is nothing to measure an AP on", self.info.name)
        elif numbers["AP"] < LOW_AP:
            reasons = "\n".join(f"- {reason}" for reason in explain_low_ap(collected, self.info.class_names))
            logger.warning("%s: AP is %.4f. Why that probably is:\n%s", self.info.name, numbers["AP"], reasons)
        return {"bbox": numbers}

    def _summary(self, accumulated: Accumulated) -> dict[str, Any]:
        precision, recall = accumulated.precision, accumulated.recall
        numbers: dict[str, Any] = {
            "AP": _mean(precision[..., ALL, -1]),
            "AP50": _mean(precision[IOU_50, ..., ALL, -1]),
            "AP75": _mean(precision[IOU_75, ..., ALL, -1]),
        }
        sizes = {"s": SMALL, "m": MEDIUM, "l": LARGE}
        numbers |= {f"AP{size}": _mean(precision[..., area, -1]) for size, area in sizes.items()}
        numbers |= {f"AR{limit}": _mean(recall[..., ALL, index]) for index, limit in enumerate(self.max_detections)}
        numbers |= {f"AR{size}": _mean(recall[..., area, -1]) for size, area in sizes.items()}
        numbers["per_class"] = {
            name: {"AP": _mean(precision[:, :, label, ALL, -1]), "AP50": _mean(precision[IOU_50, :, label, ALL, -1])}
            for label, name in enumerate(self.info.class_names)
        }
        return numbers

    def curves(self) -> dict[str, PrecisionRecall]:
        """Return the precision-recall curve at IoU 0.5 of each class that has ground truth, by name, as of the last compute().

        Raises:
            EvaluationError: nothing was computed, or this is not the main process, which alone keeps the images.
        """
        _, accumulated = self._last()
        recall = np.linspace(0.0, 1.0, accumulated.precision.shape[1])
        precision, scores = accumulated.precision[IOU_50, :, :, ALL, -1], accumulated.scores[IOU_50, :, :, ALL, -1]
        return {
            name: PrecisionRecall(recall, precision[:, label], scores[:, label])
            for label, name in enumerate(self.info.class_names)
            if precision[0, label] > -1
        }

    def collected(self) -> Collected:
        """Return the ground truth and the detections of all images, as of the last compute().

        Raises:
            EvaluationError: nothing was computed, or this is not the main process, which alone keeps the images.
        """
        return self._last()[0]

    def to_coco_results(self) -> list[dict[str, Any]]:
        """Return all detections in COCO's results format, with the data set's own ids, as of the last compute().

        Raises:
            EvaluationError: nothing was computed, or this is not the main process, which alone keeps the images.
        """
        return to_coco_results(self._last()[0], self.info)

    def write_coco_results(self, path: Path | str) -> None:
        """Write :meth:`to_coco_results` as a JSON file (``predictions.json``).

        Raises:
            EvaluationError: nothing was computed, or this is not the main process, which alone keeps the images.
        """
        write_coco_results(path, self._last()[0], self.info)

    def _last(self) -> tuple[Collected, Accumulated]:
        if self._evaluated is None:
            raise EvaluationError("call compute() first; afterwards the main process has the curves and the detections")
        return self._evaluated


def _mean(values: np.ndarray) -> float | None:
    present = values[values > -1]
    return float(present.mean()) if present.size else None
