"""Why an AP is near zero: the usual mistakes, recognised by what would make the boxes fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dettoolkit.evaluation.collector import Collected

NUM_IMAGES, NUM_BOXES = 50, 40  # a sample is enough, and takes about a second
IOU_THRESHOLD = 0.5
LOW_SCORE = 0.05
CONVINCING = 0.3  # so much of the ground truth must be covered, or covered in addition, to be no accident
SCALES = np.geomspace(1 / 8, 8, 201, dtype=np.float32)  # neighbours differ by 2 %
SHIFT_STEP = 4.0  # pixels


def explain_low_ap(collected: Collected, class_names: Sequence[str]) -> list[str]:
    """Say why an AP is probably near zero.

    Args:
        collected: the ground truth and the detections.
        class_names: K names.

    Returns:
        At least one sentence; several when several mistakes are recognised.
    """
    truth, found = collected.truth[~collected.truth["ignore"]], collected.found
    if not len(truth):
        return ["There is no ground truth that counts, so nothing can be found."]
    if not len(found):
        return [
            "There are no detections: every score is below the decoder's score threshold, or every box was removed. "
            "A network that is hardly trained does this; else lower MODEL.DECODER.SCORE_THRESHOLD and look again."
        ]
    if not np.intersect1d(truth["image"], found["image"]).size:
        return [
            "The images with detections and the images with ground truth are disjoint: "
            "the detections probably carry the ids of other images."
        ]
    pairs = Pairs.of(collected, truth, found)
    reasons = [*_confused_classes(pairs, class_names), *_misread_boxes(pairs)]
    if float(found["score"].max()) < LOW_SCORE:
        reasons.append(f"The highest score of {len(found)} detections is {found['score'].max():.3g}: nothing is learnt yet.")
    return reasons or [_no_usual_mistake(pairs)]


@dataclass(frozen=True)
class Pairs:
    """Each ground-truth box of some images with each of the best detections of its image: P pairs.

    Args:
        truth: ``[P]`` rows (see :class:`Collected`).
        found: ``[P]`` rows.
        image_sizes: ``[P, 2]``, (height, width).
        owner: ``[P]`` int64, which ground-truth box a pair belongs to, 0..G-1, ascending.
    """

    truth: np.ndarray
    found: np.ndarray
    image_sizes: np.ndarray
    owner: np.ndarray

    @classmethod
    def of(cls, collected: Collected, truth: np.ndarray, found: np.ndarray) -> Pairs:
        """Pair the boxes of up to 50 images that have both, spread over all of them."""
        images = np.intersect1d(truth["image"], found["image"])
        chosen: list[np.ndarray] = []
        for image in images[:: -(-len(images) // NUM_IMAGES)]:
            objects = np.flatnonzero(truth["image"] == image)
            detections = np.flatnonzero(found["image"] == image)
            best = detections[np.argsort(-found["score"][detections], kind="stable")][:NUM_BOXES]
            chosen.append(np.stack(np.meshgrid(objects, best, indexing="ij")).reshape(2, -1))
        objects, detections = np.concatenate(chosen, axis=1)
        sizes = collected.image_sizes[truth["image"][objects]]
        return cls(truth[objects], found[detections], sizes, np.unique(objects, return_inverse=True)[1])

    def overlaps(self, boxes: np.ndarray | None = None) -> np.ndarray:
        """Return the IoU of each pair, ``[P]``, with other ``boxes`` ``[P, 4]`` in place of the detected ones."""
        boxes = self.found["box"] if boxes is None else boxes
        truth = self.truth["box"]
        common = _area(np.maximum(truth[:, :2], boxes[:, :2]), np.minimum(truth[:, 2:], boxes[:, 2:]))
        union = _area(truth[:, :2], truth[:, 2:]) + _area(boxes[:, :2], boxes[:, 2:]) - common
        return common / np.maximum(union, np.finfo(np.float32).tiny)

    def best(self, overlaps: np.ndarray) -> np.ndarray:
        """Return the highest overlap of each ground-truth box, ``[G]``."""
        return np.maximum.reduceat(overlaps, np.flatnonzero(np.diff(self.owner, prepend=-1)))

    def covered(self, overlaps: np.ndarray) -> float:
        """Return the share of the ground truth that some detection overlaps with an IoU of at least 0.5."""
        return float(np.mean(self.best(overlaps) >= IOU_THRESHOLD))

    def covered_by_own_class(self) -> float:
        """Return the same share, counting only detections of the right class."""
        return self.covered(np.where(self.truth["label"] == self.found["label"], self.overlaps(), 0.0))


def _area(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    sides = np.maximum(high - low, 0)
    return sides[:, 0] * sides[:, 1]


def _confused_classes(pairs: Pairs, class_names: Sequence[str]) -> list[str]:
    overlaps = pairs.overlaps()
    by_any, by_own = pairs.covered(overlaps), pairs.covered_by_own_class()
    if by_any < CONVINCING or by_own > by_any / 3:
        return []
    hits = overlaps >= IOU_THRESHOLD
    taken_for = []
    for label in np.unique(pairs.truth["label"][hits]):
        found_labels = pairs.found["label"][hits & (pairs.truth["label"] == label)]
        commonest = np.bincount(found_labels).argmax()
        if commonest != label:
            taken_for.append(f"{class_names[int(label)]!r} is found as {class_names[int(commonest)]!r}")
    return [
        f"Boxes overlap but labels differ: {by_any:.0%} of the ground truth is covered, {by_own:.0%} by its own class. "
        f"The classes are probably permuted ({'; '.join(taken_for[:5])}): compare the class lists of model and data set."
    ]


_READINGS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "x, y, width, height": lambda boxes, _: np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
    "centre, width, height": lambda boxes, _: np.concatenate(
        [boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1
    ),
    "y, x, y, x": lambda boxes, _: boxes[:, [1, 0, 3, 2]],
    "fractions of the image's width and height": lambda boxes, sizes: boxes * sizes[:, [1, 0, 1, 0]],
}


def _misread_boxes(pairs: Pairs) -> list[str]:
    """Look for the one change of all detected boxes that makes them fit the ground truth."""
    boxes = pairs.found["box"]
    fits = {
        f"when read as {form}: detections must be x1, y1, x2, y2 in pixels": reading(boxes, pairs.image_sizes)
        for form, reading in _READINGS.items()
    }
    scale = max(SCALES, key=lambda factor: pairs.best(pairs.overlaps(boxes * factor)).mean())
    fits[f"when multiplied by about {scale:.2f}: they may still be in the pixels of the resized image"] = boxes * scale
    shift = _commonest_shift(pairs)
    words = f"when moved by about ({shift[0]:.0f}, {shift[1]:.0f}) pixels: padding or a crop may not have been undone"
    fits[words] = boxes + np.tile(shift, 2)
    shares = {words: pairs.covered(pairs.overlaps(changed)) for words, changed in fits.items()}
    best = max(shares, key=lambda words: shares[words])
    as_given = pairs.covered(pairs.overlaps())
    if shares[best] < as_given + CONVINCING:
        return []
    return [f"The boxes fit {best}. That covers {shares[best]:.0%} of the ground truth, as they are {as_given:.0%}."]


def _commonest_shift(pairs: Pairs) -> np.ndarray:
    """Return the (x, y) by which most detected corners miss those of a ground-truth box."""
    shifts = pairs.truth["box"][:, :2] - pairs.found["box"][:, :2]
    cells, counts = np.unique(np.round(shifts / SHIFT_STEP), axis=0, return_counts=True)
    return cells[counts.argmax()] * SHIFT_STEP


def _no_usual_mistake(pairs: Pairs) -> str:
    return (
        f"No usual mistake is recognised: detections of the right class cover {pairs.covered_by_own_class():.0%} of the ground "
        f"truth, those of any class {pairs.covered(pairs.overlaps()):.0%}, and scores reach {pairs.found['score'].max():.2f}. "
        "Probably the detector has seen too little training, or its learning rate is far off."
    )
