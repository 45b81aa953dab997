"""Annotations that are probably wrong, found by what a detector is sure of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from dettoolkit.evaluation.analysis.matching import box_overlaps
from dettoolkit.structures import EvaluatedImage

Suspicion = Literal["not-annotated", "other-class", "not-supported"]

CONFIDENT = 0.5  # score from which on a detection is worth a look
APART = 0.3  # IoU below which a detection is of no annotated object
SUPPORTING = 0.5  # IoU from which on a detection is of an object
UNSUPPORTED = 0.1  # score below which no detection supports an annotation
NO_SCORE = 0.05  # what an object without any detection counts as: where decoders stop

_HIGHEST_LOSS_AT = 1e-4


@dataclass(frozen=True)
class LabelSuspect:
    """One annotation that is probably wrong, or probably missing.

    Args:
        kind: ``not-annotated``: a confident detection where nothing is annotated; ``other-class``: where another class is
            annotated; ``not-supported``: an annotated object that not even a low score finds.
        image: index into the images.
        image_id: of the image.
        file_name: of the image.
        box: (x1, y1, x2, y2) in pixels of the original image; of the annotation where there is one, else of the detection.
        truth: index of the annotation within its image; -1 where there is none.
        detection: index of the detection within its image; -1 where there is none.
        annotated: class of the annotation; None where there is none.
        found: class of the detection; None where there is none.
        score: of the detection; of the best one that supports the annotation where it is not supported, 0 where none does.
        loss: the cross-entropy of it: - log(1 - score) for a detection that should not be, - log(support) for an annotation,
            with ``NO_SCORE`` as the least support; the sum of both where the class is another.
        reason: the same in words.
    """

    kind: Suspicion
    image: int
    image_id: int | str
    file_name: str
    box: tuple[float, float, float, float]
    truth: int
    detection: int
    annotated: str | None
    found: str | None
    score: float
    loss: float
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def find_label_suspects(
    images: Sequence[EvaluatedImage], class_names: Sequence[str], limit: int | None = 300
) -> list[LabelSuspect]:
    """Return annotations to look at again, those of the highest loss first.

    A good detector that has not learnt these very labels by heart says most; on its own training images, it supports what it
    has learnt. Of several detections of one place that nobody annotated the best is taken; places inside crowd regions are left
    out, and so are crowd regions.

    Args:
        images: I images.
        class_names: K names.
        limit: how many at most; None: all.
    """
    suspects = [
        suspect
        for number, image in enumerate(images)
        if len(image.detections) or len(image.ground_truth)
        for suspect in _OneImage(number, image, class_names).suspects()
    ]
    suspects.sort(key=lambda suspect: -suspect.loss)  # stable: of equal losses the first image first
    return suspects[:limit]


class _OneImage:
    """One image with its overlaps."""

    def __init__(self, number: int, image: EvaluatedImage, class_names: Sequence[str]) -> None:
        self.number, self.image, self.class_names = number, image, class_names
        found, truth = image.detections, image.ground_truth
        self.scores, self.labels = found.scores.double().numpy(), found.labels.numpy()
        self.ignore, self.truth_labels = truth.ignore.numpy(), truth.labels.numpy()
        self.boxes = found.boxes.double().numpy()
        self.overlaps = box_overlaps(self.boxes, truth.boxes.double().numpy(), self.ignore)
        on_object = self.overlaps >= SUPPORTING
        same = self.labels[:, None] == self.truth_labels
        self.support = np.where(on_object & same, self.scores[:, None], 0.0).max(axis=0, initial=0.0)
        self.against = np.where(on_object & ~same, self.scores[:, None], 0.0)

    def suspects(self) -> list[LabelSuspect]:
        """Return what is suspicious in it."""
        others = self._other_class()
        disputed = {suspect.truth for suspect in others}
        return [*others, *self._not_supported(disputed), *self._not_annotated()]

    def _other_class(self) -> list[LabelSuspect]:
        best = self.against.max(axis=0, initial=0.0)
        suspects = []
        for truth in np.flatnonzero((best >= CONFIDENT) & (best > self.support) & ~self.ignore).tolist():
            detection, support = int(self.against[:, truth].argmax()), float(self.support[truth])
            score = float(self.scores[detection])
            annotated, found = self._annotated(truth), self._found(detection)
            reason = f"annotated as {annotated}, found as {found} with a score of {score:.2f}{_supported(support)}"
            loss = _loss(1 - score) + _loss(max(support, NO_SCORE))
            suspects.append(self._suspect("other-class", truth, detection, score, loss, reason))
        return suspects

    def _not_supported(self, disputed: set[int]) -> list[LabelSuspect]:
        suspects = []
        for truth in np.flatnonzero((self.support < UNSUPPORTED) & ~self.ignore).tolist():
            if truth in disputed:
                continue
            support = float(self.support[truth])
            reason = f"annotated as {self._annotated(truth)}{_supported(support) or ', which no detection finds'}"
            suspects.append(self._suspect("not-supported", truth, -1, support, _loss(max(support, NO_SCORE)), reason))
        return suspects

    def _not_annotated(self) -> list[LabelSuspect]:
        apart = self.overlaps.max(axis=1, initial=0.0) < APART
        candidates = np.flatnonzero(apart & (self.scores >= CONFIDENT))
        candidates = candidates[np.argsort(-self.scores[candidates], kind="stable")]
        boxes = self.boxes[candidates]
        among = box_overlaps(boxes, boxes, np.zeros(len(boxes), dtype=bool)) >= SUPPORTING
        suspects, kept = [], np.zeros(len(candidates), dtype=bool)
        for position, detection in enumerate(candidates.tolist()):
            if (among[position] & kept).any():
                continue
            kept[position], score = True, float(self.scores[detection])
            reason = f"{self._found(detection)} with a score of {score:.2f}, where nothing is annotated"
            suspects.append(self._suspect("not-annotated", -1, detection, score, _loss(1 - score), reason))
        return suspects

    def _suspect(self, kind: Suspicion, truth: int, detection: int, score: float, loss: float, reason: str) -> LabelSuspect:
        boxes: Tensor = self.image.detections.boxes if truth < 0 else self.image.ground_truth.boxes
        x1, y1, x2, y2 = (round(side, 2) for side in boxes[detection if truth < 0 else truth].tolist())
        return LabelSuspect(
            kind=kind,
            image=self.number,
            image_id=self.image.image_id,
            file_name=self.image.file_name,
            box=(x1, y1, x2, y2),
            truth=truth,
            detection=detection,
            annotated=None if truth < 0 else self._annotated(truth),
            found=None if detection < 0 else self._found(detection),
            score=score,
            loss=loss,
            reason=reason,
        )

    def _annotated(self, truth: int) -> str:
        return self.class_names[int(self.truth_labels[truth])]

    def _found(self, detection: int) -> str:
        return self.class_names[int(self.labels[detection])]


def _supported(support: float) -> str:
    return f", which the best detection of it supports by {support:.2f} alone" if support else ""


def _loss(probability: float) -> float:
    return float(-np.log(max(probability, _HIGHEST_LOSS_AT)))
