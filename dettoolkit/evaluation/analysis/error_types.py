"""What is wrong with detections, by type, as in TIDE.

Bolya et al., TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dettoolkit.evaluation.analysis.matching import UNMATCHED, MatchedDetections, box_overlaps
from dettoolkit.structures import EvaluatedImage

ERROR_TYPES = ("classification", "localisation", "both", "duplicate", "background", "missed")
CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED = range(6)

BACKGROUND_IOU = 0.1  # TIDE's t_b: up to it, a detection overlaps nothing

_NONE = -1


@dataclass(frozen=True)
class DetectionErrors:
    """E errors of a detector: first its wrong detections by image, then the objects that were missed.

    A wrong detection has one type, the first that fits: localisation (it overlaps an object of its class, by at least
    ``background_iou`` and less than the threshold), classification (an object of another class, by the threshold or more),
    duplicate (an object of its class, which was found already), background (nothing by more than ``background_iou``), both.
    Missed is an object that no detection found, nor would find if its one error were mended.

    Args:
        kind: ``[E]`` int64, index into ``ERROR_TYPES``.
        image: ``[E]`` int64, index into the images.
        row: ``[E]`` int64, of the detection among the matched ones; -1 where an object was missed.
        detection: ``[E]`` int64, index within its image; -1 where an object was missed.
        truth: ``[E]`` int64, index of the annotation that it is about within its image; -1 where there is none.
        label: ``[E]`` int64, of the detection; of the object where one was missed.
        truth_label: ``[E]`` int64, of the annotation; -1 where there is none.
        score: ``[E]`` float32; 0 where an object was missed.
        becomes_right: ``[E]`` bool, whether the detection is right once its error is mended: of the detections with an error
            of class or place on an object that nobody found, the one of the highest score.
        iou_threshold: from which IoU on a detection is right.
        background_iou: up to which IoU a detection overlaps nothing.
    """

    kind: np.ndarray
    image: np.ndarray
    row: np.ndarray
    detection: np.ndarray
    truth: np.ndarray
    label: np.ndarray
    truth_label: np.ndarray
    score: np.ndarray
    becomes_right: np.ndarray
    iou_threshold: float
    background_iou: float


def find_errors(
    images: Sequence[EvaluatedImage], matched: MatchedDetections, background_iou: float = BACKGROUND_IOU
) -> DetectionErrors:
    """Say of each detection that is wrong why, and which objects were missed.

    The first of the IoU thresholds that ``matched`` has is taken. Detections that are neither right nor wrong, being in a crowd
    region, are no errors; those past the limit of detections an image and class are left out.

    Args:
        images: I images.
        matched: their detections.
        background_iou: TIDE's t_b.
    """
    bounds = np.searchsorted(matched.image, np.arange(len(images) + 1))
    wrong, missed = [], []
    for number, image in enumerate(images):
        rows = np.arange(bounds[number], bounds[number + 1])
        of_image, of_missed = _errors_of_image(image, matched, rows, background_iou)
        wrong.append(_with_image(number, of_image))
        missed.append(_with_image(number, of_missed))
    table = np.concatenate([np.zeros((0, 8), dtype=np.int64), *wrong, *missed])
    kind, image_number, row, detection, truth, label, truth_label, right = table.T
    score = np.where(row == _NONE, np.float32(0), matched.score[row] if len(matched.score) else np.float32(0))
    columns = (kind, image_number, row, detection, truth, label, truth_label, score.astype(np.float32), right.astype(bool))
    return DetectionErrors(*columns, matched.iou_thresholds[0], background_iou)


def _with_image(number: int, table: np.ndarray) -> np.ndarray:
    return np.insert(table, 1, number, axis=1)


def _errors_of_image(
    image: EvaluatedImage, matched: MatchedDetections, rows: np.ndarray, background_iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return kind, row, detection, truth, label, truth_label, becomes_right: of wrong detections, and of what is missed."""
    counted = np.flatnonzero(~image.ground_truth.ignore.numpy())
    truth_labels = image.ground_truth.labels.numpy()[counted]
    is_found = np.isin(counted, matched.truth[0, rows])
    wrong = rows[(matched.truth[0, rows] == UNMATCHED) & ~matched.ignored[0, rows]]
    overlaps = _overlaps(image, matched.index[wrong], counted)
    kinds, about = _types(overlaps, matched.label[wrong], truth_labels, is_found, matched.iou_thresholds[0], background_iou)
    right = _become_right(kinds, about, matched.score[wrong], is_found)
    # -1 takes the last entry, the one that is appended for it
    truth, truth_label = np.append(counted, _NONE)[about], np.append(truth_labels, _NONE)[about]
    errors = np.stack([kinds, wrong, matched.index[wrong], truth, matched.label[wrong], truth_label, right], axis=1)
    missed = np.flatnonzero(~is_found & ~np.isin(np.arange(len(counted)), about[right]))
    none = np.full(len(missed), _NONE)
    columns = [none + 1 + MISSED, none, none, counted[missed], truth_labels[missed], truth_labels[missed], none + 1]
    return errors, np.stack(columns, axis=1)


def _overlaps(image: EvaluatedImage, detections: np.ndarray, counted: np.ndarray) -> np.ndarray:
    found, truth = (boxes.double().numpy() for boxes in (image.detections.boxes, image.ground_truth.boxes))
    return box_overlaps(found[detections], truth[counted], np.zeros(len(counted), dtype=bool))


def _types(
    overlaps: np.ndarray, labels: np.ndarray, truth_labels: np.ndarray, is_found: np.ndarray, iou: float, background: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the type of each wrong detection ``[W]`` and the object ``[W]`` that it is about, -1: none."""
    if not len(truth_labels):
        return np.full(len(labels), BACKGROUND), np.full(len(labels), _NONE)
    same = labels[:, None] == truth_labels
    in_class, in_others, found = overlaps * same, overlaps * ~same, overlaps * (same & is_found)
    best = {LOCALISATION: in_class, CLASSIFICATION: in_others, DUPLICATE: found, BACKGROUND: overlaps, BOTH: overlaps}
    highest = {kind: table.max(axis=1) for kind, table in best.items()}
    conditions = {
        LOCALISATION: (highest[LOCALISATION] >= background) & (highest[LOCALISATION] <= iou),
        CLASSIFICATION: highest[CLASSIFICATION] >= iou,
        DUPLICATE: highest[DUPLICATE] >= iou,
        BACKGROUND: highest[BACKGROUND] <= background,
    }
    kinds = np.select(list(conditions.values()), list(conditions), BOTH)
    about = np.select([kinds == kind for kind in best], [table.argmax(axis=1) for table in best.values()])
    return kinds, np.where(kinds == BACKGROUND, _NONE, about)


def _become_right(kinds: np.ndarray, about: np.ndarray, scores: np.ndarray, is_found: np.ndarray) -> np.ndarray:
    """Return ``[W]`` bool: of the detections that could find an object that none has found, the one of the highest score."""
    right = np.zeros(len(kinds), dtype=bool)
    able = np.flatnonzero((kinds == CLASSIFICATION) | (kinds == LOCALISATION))
    able = able[~is_found[about[able]]]
    by_score = able[np.argsort(-scores[able], kind="stable")]
    right[by_score[np.unique(about[by_score], return_index=True)[1]]] = True
    return right
