"""Which detection found which object, at several IoU thresholds: COCO's rules, kept box by box for those who ask why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dettoolkit.errors import EvaluationError, listed
from dettoolkit.structures import EvaluatedImage

COCO_IOU_THRESHOLDS = tuple(float(threshold) for threshold in np.linspace(0.5, 0.95, 10))
"""0.50, 0.55, ..., 0.95."""

COCO_AREAS = (0.0, 1e10)
"""Square pixels: an unmatched detection outside, a box turned inside out for one, is not counted as wrong."""

UNMATCHED = -1


@dataclass(frozen=True)
class MatchedDetections:
    """Detections of I images, matched to ground truth by COCO's rules at T IoU thresholds.

    The M detections stand by image, in each image highest score first, equal scores in the detector's order; a stable sort of
    those of one class by score is therefore the order in which COCO counts them.

    Args:
        image: ``[M]`` int64, index into the images.
        index: ``[M]`` int64, index of the detection within its image.
        label: ``[M]`` int64, 0..K-1.
        score: ``[M]`` float32.
        truth: ``[T, M]`` int64, index of the matched annotation within its image; -1: none.
        ignored: ``[T, M]`` bool, neither right nor wrong: matched to a crowd region, or unmatched and outside ``COCO_AREAS``.
        num_truth: ``[I, K]`` int64, ground-truth boxes that count.
        iou_thresholds: ``[T]``.
    """

    image: np.ndarray
    index: np.ndarray
    label: np.ndarray
    score: np.ndarray
    truth: np.ndarray
    ignored: np.ndarray
    num_truth: np.ndarray
    iou_thresholds: tuple[float, ...]

    @property
    def is_true_positive(self) -> np.ndarray:
        """``[T, M]`` bool: found an object that counts."""
        return (self.truth != UNMATCHED) & ~self.ignored

    def threshold_index(self, iou_threshold: float) -> int:
        """Return which of the T thresholds that is.

        Raises:
            EvaluationError: none of them.
        """
        near = np.flatnonzero(np.isclose(self.iou_thresholds, iou_threshold))
        if not len(near):
            there = listed(f"{threshold:g}" for threshold in self.iou_thresholds)
            raise EvaluationError(f"detections were not matched at an IoU of {iou_threshold:g}; they were at {there}")
        return int(near[0])

    def of_images(self, chosen: np.ndarray) -> MatchedDetections:
        """Return the same of some images only, in the order given.

        Args:
            chosen: ``[C]`` int64, indices of images; one that comes twice counts as two images.
        """
        starts = np.searchsorted(self.image, np.stack([chosen, chosen + 1]))
        counts = starts[1] - starts[0]
        image = np.repeat(np.arange(len(chosen)), counts)
        rows = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts) + starts[0][image]
        columns = (self.index[rows], self.label[rows], self.score[rows], self.truth[:, rows], self.ignored[:, rows])
        return MatchedDetections(image, *columns, self.num_truth[chosen], self.iou_thresholds)


def match_detections(
    images: Sequence[EvaluatedImage],
    num_classes: int,
    iou_thresholds: Sequence[float] = COCO_IOU_THRESHOLDS,
    max_detections: int = 100,
) -> MatchedDetections:
    """Match detections to ground truth as pycocotools does for objects of any size.

    In each image and class the detections take their turn by score. Each takes the free object that it overlaps most; if none
    reaches the threshold, the crowd region of which it lies inside most, measured by the intersection over its own area.
    Of equal overlaps the last one is taken.

    Args:
        images: I images.
        num_classes: K; labels must be 0..K-1.
        iou_thresholds: T thresholds; an overlap of a threshold reaches it.
        max_detections: limit of detections an image and class, which COCO sets at 100.

    Raises:
        EvaluationError: a label is not 0..K-1.
    """
    limits = np.minimum(np.asarray(iou_thresholds, dtype=np.float64), 1 - 1e-10)  # pycocotools' guard against rounding at 1
    num_truth = np.zeros((len(images), num_classes), dtype=np.int64)
    rows = []
    for number, image in enumerate(images):
        _check_labels(image, num_classes)
        counted = image.ground_truth.labels[~image.ground_truth.ignore].numpy()
        num_truth[number] = np.bincount(counted, minlength=num_classes)
        rows.append(_match_image(image, limits, max_detections))
    index, label, score, truth, ignored = (
        np.concatenate(column, axis=-1) for column in zip(_no_detections(len(limits)), *rows, strict=True)
    )
    counts = [len(row[0]) for row in rows]
    image_number = np.repeat(np.arange(len(images)), np.array(counts, dtype=np.int64))
    return MatchedDetections(image_number, index, label, score, truth, ignored, num_truth, tuple(map(float, iou_thresholds)))


def _no_detections(num_thresholds: int) -> tuple[np.ndarray, ...]:
    none = np.zeros(0, dtype=np.int64)
    matches = np.zeros((num_thresholds, 0), dtype=np.int64)
    return none, none, np.zeros(0, dtype=np.float32), matches, matches.astype(bool)


def _check_labels(image: EvaluatedImage, num_classes: int) -> None:
    for kind, labels in (("annotations", image.ground_truth.labels), ("detections", image.detections.labels)):
        outside = labels[(labels < 0) | (labels >= num_classes)]
        if len(outside):
            raise EvaluationError(
                f"image {image.image_id!r}: label {int(outside[0])} among its {kind}; accepted: 0..{num_classes - 1}"
            )


def _match_image(image: EvaluatedImage, limits: np.ndarray, max_detections: int) -> tuple[np.ndarray, ...]:
    """Return index, label, score ``[D]`` of the detections that count, and truth, ignored ``[T, D]``."""
    found, truth = image.detections, image.ground_truth
    scores, labels, ignore = found.scores.float().numpy(), found.labels.numpy(), truth.ignore.numpy()
    order = np.argsort(-scores, kind="stable")
    order = order[_rank_in_class(labels[order]) < max_detections]
    boxes = found.boxes.double().numpy()[order]
    overlaps = box_overlaps(boxes, truth.boxes.double().numpy(), ignore)
    overlaps[labels[order][:, None] != truth.labels.numpy()] = -1.0
    matches, ignored = _assign(overlaps, ignore, limits)
    areas = _areas(boxes)
    ignored |= (matches == UNMATCHED) & ((areas < COCO_AREAS[0]) | (areas > COCO_AREAS[1]))
    return order, labels[order], scores[order], matches, ignored


def _rank_in_class(labels: np.ndarray) -> np.ndarray:
    """Return how many of the same label come before each, ``[D]``."""
    by_label = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[by_label], labels[by_label])
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[by_label] = np.arange(len(labels)) - starts
    return ranks


def box_overlaps(found: np.ndarray, truth: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Return ``[D, G]`` float64: IoU, and with crowd regions the intersection over the area of the detection.

    torchvision's box_iou knows no crowds, and a match must not hang on another order of the same sum: this is pycocotools'.

    Args:
        found: ``[D, 4]`` xyxy float64.
        truth: ``[G, 4]`` xyxy float64.
        crowd: ``[G]`` bool.
    """
    sides = np.minimum(found[:, None, 2:], truth[:, 2:]) - np.maximum(found[:, None, :2], truth[:, :2])
    intersection = np.where((sides > 0).all(axis=-1), sides.prod(axis=-1), 0.0)
    found_areas = _areas(found)[:, None]
    union = np.where(crowd, found_areas, found_areas + _areas(truth) - intersection)
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=intersection > 0)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)


def _assign(overlaps: np.ndarray, ignore: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return truth and ignored ``[T, D]``; rows of ``overlaps`` take their turn from the first to the last."""
    truth = np.full((len(limits), len(overlaps)), UNMATCHED, dtype=np.int64)
    ignored = np.zeros(truth.shape, dtype=bool)
    free = np.ones((len(limits), len(ignore)), dtype=bool)
    possible = overlaps >= limits.min(initial=np.inf)
    for row in np.flatnonzero(possible.any(axis=1)):
        candidates = np.flatnonzero(possible[row])
        # objects before crowd regions, then the larger overlap, then the later one
        candidates = candidates[np.lexsort((-candidates, -overlaps[row, candidates], ignore[candidates]))]
        accepted = (overlaps[row, candidates] >= limits[:, None]) & free[:, candidates]
        hit = np.flatnonzero(accepted.any(axis=1))
        chosen = candidates[accepted[hit].argmax(axis=1)]
        truth[hit, row] = chosen
        ignored[hit, row] = ignore[chosen]
        free[hit, chosen] = ignore[chosen]  # a crowd region takes any number of detections
    return truth, ignored
