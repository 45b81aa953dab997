"""The gallery: the images of a report with all that its script counts, filters and draws, packed small."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from dettoolkit.report.box_outcomes import OUTCOMES, BoxOutcomes, box_outcomes
from dettoolkit.report.thumbnails import ReadImage, Thumbnails, make_thumbnails
from dettoolkit.structures import EvaluatedImage, ScoreThresholds
from dettoolkit.visualization.palette import class_color, hex_color, text_color

MAX_IMAGES = 5000
MAX_BYTES = 24_000_000
"""Of pictures and boxes together: it leaves a page of less than 30 MB."""

_STEPS = 10_000  # of scores: a page compares them with hundredths
_LOWEST_STEP = 500  # 0.05, where decoders stop and the slider begins
_BOX_SHARE = 0.4  # of MAX_BYTES, which boxes may take at most
_BOX_BYTES = 16 * 4 / 3  # a detection in the columns below, as base64
_SIDE = 16384  # steps of a picture's longer side: a quarter of a pixel of 4,096


def make_gallery(
    images: Sequence[EvaluatedImage],
    class_names: Sequence[str],
    read_image: ReadImage,
    thresholds: ScoreThresholds | None = None,
    max_images: int = MAX_IMAGES,
    max_bytes: int = MAX_BYTES,
) -> dict[str, Any]:
    """Return the gallery as plain data for the page's script; names and numbers are in ``templates/gallery.js`` too.

    Args:
        images: I images.
        class_names: K names; label k is ``class_names[k]``.
        read_image: image id -> ``[3, H, W]`` uint8 RGB; called once for each image shown, from several threads.
        thresholds: the chosen score thresholds; None: those of the best F1 on these images.
        max_images: how many are shown at most.
        max_bytes: what boxes and pictures take at most.

    Raises:
        EvaluationError: a label is not 0..K-1.
    """
    outcomes = box_outcomes(images, class_names, thresholds)
    chosen = choose_images(outcomes.num_errors(), max_images)
    shown = [images[number] for number in chosen.tolist()]
    lowest = _lowest_step(outcomes, max_bytes)
    detections = _detection_columns(shown, chosen, outcomes, lowest)
    truth = _truth_columns(shown)
    spent = sum(len(column) for columns in (detections, truth) for column in columns.values())
    thumbnails = make_thumbnails([image.image_id for image in shown], read_image, max_bytes - spent)
    colors = [class_color(label) for label in range(len(class_names))]
    return {
        "classNames": list(class_names),
        "colors": [hex_color(color) for color in colors],
        "textColors": [hex_color(text_color(color)) for color in colors],
        "outcomes": list(OUTCOMES),
        "thresholds": (2 * _steps(outcomes.thresholds) + 1).tolist(),
        "thresholdTexts": [f"{value:.2f}" for value in outcomes.thresholds.tolist()],
        "wish": outcomes.wish,
        "lowest": lowest,
        "names": [image.file_name for image in shown],
        "sizes": [side for image in shown for side in image.size],
        "losses": [round(value, 3) for value in outcomes.loss[chosen].tolist()],
        "pictures": [base64.b64encode(one.jpeg).decode() for one in thumbnails.pictures],
        "faults": {place: one.fault for place, one in enumerate(thumbnails.pictures) if one.fault},
        "truth": truth,
        "detections": detections,
        "notes": _notes(len(images), len(shown), lowest, outcomes, thumbnails),
    }


def choose_images(num_errors: np.ndarray, max_images: int) -> np.ndarray:
    """Return the indices ``[C]`` of the images to show, in their order.

    Where there are more than ``max_images``, three quarters of the places go to those with the most errors, the others to
    images at even distances among the rest, so that the page shows the rule as well as the exception.

    Args:
        num_errors: ``[I]`` int64.
        max_images: at least 1.
    """
    count = len(num_errors)
    if count <= max_images:
        return np.arange(count)
    order = np.argsort(-num_errors, kind="stable")
    num_worst = max_images - max_images // 4
    rest, num_others = order[num_worst:], max_images - num_worst
    spread = rest[(2 * np.arange(num_others) + 1) * len(rest) // max(1, 2 * num_others)]
    return np.sort(np.concatenate([order[:num_worst], spread]))


def _steps(scores: np.ndarray) -> np.ndarray:
    """Return the last of the steps 0, 0.0001, ..., 1 that each float32 score reaches."""
    grid = (np.arange(_STEPS + 1) / _STEPS).astype(np.float32)
    return np.maximum(np.searchsorted(grid, scores, side="right") - 1, 0)


def _half_steps(outcomes: BoxOutcomes) -> np.ndarray:
    """Return twice the step of each score, and one more where it reaches the threshold of its class within the same step.

    So the page, which sees steps alone, keeps the same detections as the analysis at hundredths and at the thresholds.
    """
    thresholds = outcomes.thresholds[outcomes.label]
    steps = _steps(outcomes.score)
    return 2 * steps + ((steps == _steps(thresholds)) & (outcomes.score >= thresholds))


def _lowest_step(outcomes: BoxOutcomes, max_bytes: int) -> int:
    """Return the step of scores from which on detections are on the page: as many as it may hold."""
    most = int(_BOX_SHARE * max_bytes / _BOX_BYTES)
    steps = np.sort(_steps(outcomes.score))[::-1]
    wanted = min([_LOWEST_STEP, *_steps(outcomes.thresholds).tolist()])
    return wanted if np.count_nonzero(steps >= wanted) <= most else int(steps[most]) + 1


def _detection_columns(
    images: Sequence[EvaluatedImage], chosen: np.ndarray, outcomes: BoxOutcomes, lowest: int
) -> dict[str, str]:
    """Return columns of the detections of the images, each image's own from ``starts[i]`` to ``starts[i + 1]``."""
    place = np.full(len(outcomes.num_truth), -1)
    place[chosen] = np.arange(len(chosen))
    scores = _half_steps(outcomes)
    rows = np.flatnonzero((scores >= 2 * lowest) & (place[outcomes.image] >= 0))
    starts = np.searchsorted(place[outcomes.image[rows]], np.arange(len(chosen) + 1))
    boxes = [
        _corners(image, image.detections.boxes.numpy()[outcomes.index[rows[start:end]]])
        for image, start, end in zip(images, starts[:-1].tolist(), starts[1:].tolist(), strict=True)
    ]
    return {
        "starts": _packed(starts, "<u4"),
        "boxes": _packed(_joined(boxes), "<i2"),
        "labels": _packed(outcomes.label[rows], "<u2"),
        "scores": _packed(scores[rows], "<u2"),
        "kinds": _packed(outcomes.outcome[rows], "<u1"),
        "truths": _packed(outcomes.truth[rows], "<i2"),
        "ious": _packed(np.round(100 * outcomes.iou[rows]), "<u1"),
    }


def _truth_columns(images: Sequence[EvaluatedImage]) -> dict[str, str]:
    counts = [len(image.ground_truth) for image in images]
    every = [image.ground_truth for image in images]
    return {
        "starts": _packed(np.cumsum([0, *counts]), "<u4"),
        "boxes": _packed(_joined([_corners(image, image.ground_truth.boxes.numpy()) for image in images]), "<i2"),
        "labels": _packed(np.concatenate([np.zeros(0), *(one.labels.numpy() for one in every)]), "<u2"),
        "ignored": _packed(np.concatenate([np.zeros(0), *(one.ignore.numpy() for one in every)]), "<u1"),
    }


def _corners(image: EvaluatedImage, boxes: np.ndarray) -> np.ndarray:
    """Return corners in steps of the image's longer side, cut off two sides away from it."""
    return np.clip(np.round(boxes.astype(np.float64) / max(image.size) * _SIDE), -2 * _SIDE, 2 * _SIDE - 1)


def _joined(boxes: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros((0, 4)), *boxes])


def _packed(column: np.ndarray, kind: str) -> str:
    """Return base64 of the numbers, little-endian."""
    return base64.b64encode(np.ascontiguousarray(column).astype(kind).tobytes()).decode()


def _notes(total: int, shown: int, lowest: int, outcomes: BoxOutcomes, thumbnails: Thumbnails) -> list[str]:
    """Return what the page says of what it shows and leaves out."""
    notes = [f"All {total:,} images." if shown == total else _chosen_note(total, shown)]
    if outcomes.wish:
        notes.append(f"The chosen thresholds, one for each class, are those for {outcomes.wish}.")
    notes.append(f"Predictions below a score of {lowest / _STEPS:.2f} are not on the page.")
    if lowest > min(_LOWEST_STEP, int(_steps(outcomes.thresholds).min(initial=_STEPS))):
        notes[-1] = (
            f"Predictions below a score of {lowest / _STEPS:.4f} are left out to keep the page small; counts below that score, "
            "chosen thresholds included, are those at that score."
        )
    if outcomes.num_left_out:
        notes.append(
            f"{outcomes.num_left_out:,} predictions past the 100 best of a class in an image count nowhere, as in COCO."
        )
    notes.append(f"The pictures are at most {thumbnails.side} pixels long.")
    unread = sum(bool(one.fault) for one in thumbnails.pictures)
    if unread:
        notes.append(f"{unread:,} of them could not be read: their boxes are shown alone.")
    return notes


def _chosen_note(total: int, shown: int) -> str:
    return (
        f"{shown:,} of {total:,} images: three quarters of them those with the most errors at the chosen thresholds, the "
        "others at even distances among the rest."
    )
