"""The best and the worst images, each with what is right and wrong in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dettoolkit.evaluation.analysis.error_types import ERROR_TYPES, MISSED, DetectionErrors
from dettoolkit.evaluation.analysis.matching import MatchedDetections
from dettoolkit.structures import EvaluatedImage

_LEAST_SUPPORT = 0.05  # what an object that no detection finds counts as: where decoders stop
_HIGHEST_LOSS_AT = 1e-4


@dataclass(frozen=True)
class ImageScore:
    """How good the detections of one image are.

    Args:
        image: index into the images.
        image_id: of the image.
        file_name: of the image.
        f1: 2 TP / (2 TP + FP + misses) of the detections that reach their class's score threshold; 1 where nothing is there and
            nothing is found.
        true_positives: right detections from the threshold on.
        false_positives: wrong ones.
        misses: objects without a right detection.
        loss: cross-entropy of all detections, whatever their score: the sum of - log(1 - score) of wrong ones and of
            - log(score) of what found each object.
        reasons: what is wrong, the most frequent first.
    """

    image: int
    image_id: int | str
    file_name: str
    f1: float
    true_positives: int
    false_positives: int
    misses: int
    loss: float
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def rank_images(
    images: Sequence[EvaluatedImage],
    matched: MatchedDetections,
    errors: DetectionErrors,
    class_names: Sequence[str],
    score_thresholds: Sequence[float],
) -> list[ImageScore]:
    """Return all images, the worst first: by F1, then by loss, the higher first; of equal ones those with fewer objects.

    Args:
        images: I images.
        matched: their detections; the first IoU threshold is taken.
        errors: of the same detections.
        class_names: K names.
        score_thresholds: ``[K]``, from which score on detections of each class count.
    """
    thresholds = np.asarray(score_thresholds, dtype=np.float32)
    kept, right = matched.score >= thresholds[matched.label], matched.is_true_positive[0]
    num_truth = matched.num_truth.sum(axis=1)
    count = len(images)
    true_positives = np.bincount(matched.image[kept & right], minlength=count)
    false_positives = np.bincount(matched.image[kept & ~right & ~matched.ignored[0]], minlength=count)
    misses = num_truth - true_positives
    whole = 2 * true_positives + false_positives + misses
    f1 = np.divide(2.0 * true_positives, whole, out=np.ones(count), where=whole > 0)
    losses = _losses(matched, num_truth)
    reasons = _reasons(count, matched, errors, class_names, kept)
    scores = [
        ImageScore(
            image=number,
            image_id=image.image_id,
            file_name=image.file_name,
            f1=float(f1[number]),
            true_positives=int(true_positives[number]),
            false_positives=int(false_positives[number]),
            misses=int(misses[number]),
            loss=float(losses[number]),
            reasons=reasons[number],
        )
        for number, image in enumerate(images)
    ]
    return sorted(scores, key=lambda one: (one.f1, -one.loss, one.true_positives + one.misses))


def _losses(matched: MatchedDetections, num_truth: np.ndarray) -> np.ndarray:
    """Return ``[I]``."""
    right, wrong = matched.is_true_positive[0], ~matched.is_true_positive[0] & ~matched.ignored[0]
    score = matched.score.astype(np.float64)
    of_objects = np.where(right, -np.log(np.maximum(score, _LEAST_SUPPORT)), 0.0)
    of_others = np.where(wrong, -np.log(np.maximum(1 - score, _HIGHEST_LOSS_AT)), 0.0)
    sums = np.bincount(matched.image, weights=of_objects + of_others, minlength=len(num_truth))
    not_found = num_truth - np.bincount(matched.image[right], minlength=len(num_truth))
    return sums - not_found * np.log(_LEAST_SUPPORT)


def _reasons(
    count: int, matched: MatchedDetections, errors: DetectionErrors, class_names: Sequence[str], kept: np.ndarray
) -> list[tuple[str, ...]]:
    """Return what is wrong in each image at the thresholds."""
    faults: list[Counter[tuple[str, str]]] = [Counter() for _ in range(count)]
    wrong = np.flatnonzero(errors.kind != MISSED)
    wrong = wrong[kept[errors.row[wrong]]]
    for kind, image, label in _rows(errors.kind[wrong], errors.image[wrong], errors.label[wrong]):
        faults[image][_WORDS[ERROR_TYPES[kind]], class_names[label]] += 1
    right = matched.is_true_positive[0]
    low = right & ~kept
    for image, label in _rows(matched.image[low], matched.label[low]):
        faults[image]["found below the score threshold", class_names[label]] += 1
    found = np.zeros_like(matched.num_truth)
    np.add.at(found, (matched.image[right], matched.label[right]), 1)
    missing = matched.num_truth - found
    for image, label in zip(*(column.tolist() for column in np.nonzero(missing)), strict=True):
        faults[image]["not found", class_names[label]] += int(missing[image, label])
    return [tuple(f"{number} {name} {words}" for (words, name), number in each.most_common()) for each in faults]


def _rows(*columns: np.ndarray) -> Iterable[tuple[int, ...]]:
    return zip(*(column.tolist() for column in columns), strict=True)


_WORDS = {
    "classification": "where another class is",
    "localisation": "badly placed",
    "both": "badly placed on another class",
    "duplicate": "found once more",
    "background": "where nothing is",
}
