"""What became of every box: the matching and the error types of the analysis, as rows that a page can count at any score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dettoolkit.evaluation.analysis import find_errors, match_detections, rank_images, score_curves, score_thresholds
from dettoolkit.evaluation.analysis.detection_analysis import IOU_THRESHOLD
from dettoolkit.evaluation.analysis.error_types import BACKGROUND_IOU, ERROR_TYPES, MISSED
from dettoolkit.evaluation.analysis.matching import box_overlaps
from dettoolkit.evaluation.analysis.operating_points import Wish
from dettoolkit.structures import EvaluatedImage, ScoreThresholds

OUTCOMES = (*ERROR_TYPES, "right", "ignored")
"""What a box can be: wrong in one of five ways, missed, right, or in a crowd region and therefore neither."""

RIGHT, IGNORED = len(ERROR_TYPES), len(ERROR_TYPES) + 1


@dataclass(frozen=True)
class BoxOutcomes:
    """What became of M detections of I images, at an IoU of 0.5.

    Each row holds at every score threshold: a detection takes its object before those of lower scores come, and its type of
    error asks for no more than where it lies and whether a better one was there. What is missed depends on the threshold: an
    object of which no right detection is left, nor one that is wrong in class or place alone (``classification`` or
    ``localisation``) and about this object.

    Args:
        image: ``[M]`` int64, index into the images; ascending, in each image the highest score first.
        index: ``[M]`` int64, index of the detection within its image.
        label: ``[M]`` int64, 0..K-1.
        score: ``[M]`` float32.
        outcome: ``[M]`` int64, index into ``OUTCOMES``; never missed.
        truth: ``[M]`` int64, index of the annotation that it found or is wrong about within its image; -1: none.
        iou: ``[M]`` float64, IoU with that annotation, or else with the nearest; of a crowd region the share inside of it.
        num_truth: ``[I]`` int64, objects that count.
        loss: ``[I]`` float64, the cross-entropy of the detections of each image, as images are ranked by.
        thresholds: ``[K]`` float32, the chosen score threshold of each class.
        wish: what these thresholds were chosen for.
        num_left_out: detections past the 100 best of a class in an image, which count nowhere.
    """

    image: np.ndarray
    index: np.ndarray
    label: np.ndarray
    score: np.ndarray
    outcome: np.ndarray
    truth: np.ndarray
    iou: np.ndarray
    num_truth: np.ndarray
    loss: np.ndarray
    thresholds: np.ndarray
    wish: str
    num_left_out: int

    def num_errors(self) -> np.ndarray:
        """Return ``[I]`` int64: objects not found plus detections that are wrong, at the chosen thresholds."""
        kept = self.score >= self.thresholds[self.label]
        count = len(self.num_truth)
        right = np.bincount(self.image[kept & (self.outcome == RIGHT)], minlength=count)
        wrong = np.bincount(self.image[kept & (self.outcome < MISSED)], minlength=count)
        return self.num_truth - right + wrong


def box_outcomes(
    images: Sequence[EvaluatedImage], class_names: Sequence[str], thresholds: ScoreThresholds | None = None
) -> BoxOutcomes:
    """Say of each detection what became of it.

    Args:
        images: I images.
        class_names: K names; label k is ``class_names[k]``.
        thresholds: the chosen ones; None: those of the best F1 on these images.

    Raises:
        EvaluationError: a label is not 0..K-1.
    """
    names = tuple(class_names)
    matched = match_detections(images, len(names), (IOU_THRESHOLD,))
    errors = find_errors(images, matched, BACKGROUND_IOU)
    if thresholds is None:
        thresholds, _ = score_thresholds(score_curves(matched), names, Wish("best_f1"), "")
    by_label = thresholds.of_labels(names).numpy()
    outcome = np.where(matched.ignored[0], IGNORED, RIGHT)
    truth = matched.truth[0].copy()
    wrong = errors.kind != MISSED
    outcome[errors.row[wrong]], truth[errors.row[wrong]] = errors.kind[wrong], errors.truth[wrong]
    loss = np.zeros(len(images))
    for one in rank_images(images, matched, errors, names, by_label.tolist()):
        loss[one.image] = one.loss
    return BoxOutcomes(
        image=matched.image,
        index=matched.index,
        label=matched.label.astype(np.int64),
        score=matched.score,
        outcome=outcome,
        truth=truth,
        iou=_overlaps(images, matched.image, matched.index, truth),
        num_truth=matched.num_truth.sum(axis=1),
        loss=loss,
        thresholds=by_label,
        wish=thresholds.wish,
        num_left_out=sum(len(image.detections) for image in images) - len(matched.image),
    )


def _overlaps(images: Sequence[EvaluatedImage], numbers: np.ndarray, index: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return ``[M]``: the overlap of each detection with its annotation, else the largest one."""
    overlaps = np.zeros(len(numbers))
    bounds = np.searchsorted(numbers, np.arange(len(images) + 1))
    for image, start, end in zip(images, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if start == end or not len(image.ground_truth):
            continue
        boxes = image.detections.boxes.double().numpy()[index[start:end]]
        table = box_overlaps(boxes, image.ground_truth.boxes.double().numpy(), image.ground_truth.ignore.numpy())
        about = truth[start:end]
        overlaps[start:end] = np.where(about >= 0, table[np.arange(end - start), about], table.max(axis=1))
    return overlaps
