"""All that can be said of why a detector is good or bad on a data set, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dettoolkit.evaluation.analysis.confusion import ConfusionMatrix, confusion_matrix
from dettoolkit.evaluation.analysis.error_costs import ErrorCosts, cost_errors
from dettoolkit.evaluation.analysis.error_types import DetectionErrors, find_errors
from dettoolkit.evaluation.analysis.image_ranking import ImageScore, rank_images
from dettoolkit.evaluation.analysis.label_suspects import LabelSuspect, find_label_suspects
from dettoolkit.evaluation.analysis.matching import match_detections
from dettoolkit.evaluation.analysis.operating_points import OperatingPoint, Wish, score_thresholds
from dettoolkit.evaluation.analysis.score_curves import ScoreCurve, score_curves
from dettoolkit.evaluation.analysis.slices import Slice, slice_precision
from dettoolkit.structures import EvaluatedImage, ScoreThresholds

IOU_THRESHOLD = 0.5

_LISTED_IMAGES = 50


@dataclass(frozen=True)
class DetectionAnalysis:
    """Why a detector is as good as it is on one data set; all but ``slices`` at an IoU of 0.5.

    Args:
        dataset: its name.
        class_names: K names.
        num_images: I.
        thresholds: the score threshold of each class that the wish leads to.
        operating_points: K of them, what those thresholds lead to.
        curves: K of them: precision, recall and F1 against the score.
        errors: every error by type, with its image and box.
        error_costs: how many there are and what they cost.
        confusion: of classes and background, at ``thresholds``.
        slices: AP by size, aspect ratio, crowding and place in the picture.
        label_suspects: annotations that are probably wrong, the most suspicious first.
        image_scores: all images, the worst first, at ``thresholds``.
    """

    dataset: str
    class_names: tuple[str, ...]
    num_images: int
    thresholds: ScoreThresholds
    operating_points: tuple[OperatingPoint, ...]
    curves: tuple[ScoreCurve, ...]
    errors: DetectionErrors
    error_costs: ErrorCosts
    confusion: ConfusionMatrix
    slices: Mapping[str, tuple[Slice, ...]]
    label_suspects: Sequence[LabelSuspect]
    image_scores: Sequence[ImageScore]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON: of the images the 50 worst and the 50 best alone."""
        by_class = list(zip(self.class_names, self.operating_points, self.curves, strict=True))
        worst = list(self.image_scores[:_LISTED_IMAGES])
        best = list(self.image_scores[: -_LISTED_IMAGES - 1 : -1])
        return {
            "dataset": self.dataset,
            "num_images": self.num_images,
            "class_names": list(self.class_names),
            "iou_threshold": IOU_THRESHOLD,
            "wish": self.thresholds.wish,
            "operating_points": {name: point.to_dict() for name, point, _ in by_class},
            "score_curves": {name: curve.to_dict() for name, _, curve in by_class},
            "error_types": self.error_costs.to_dict(self.class_names),
            "confusion_matrix": self.confusion.to_dict(),
            "slices": {name: [part.to_dict() for part in parts] for name, parts in self.slices.items()},
            "label_suspects": [suspect.to_dict() for suspect in self.label_suspects],
            "worst_images": [score.to_dict() for score in worst],
            "best_images": [score.to_dict() for score in best],
        }


def analyse(
    images: Sequence[EvaluatedImage],
    class_names: Sequence[str],
    wish: Wish | None = None,
    dataset: str = "",
    max_detections: int = 100,
) -> DetectionAnalysis:
    """Look at the detections of a data set in every way.

    Args:
        images: I images, all of them.
        class_names: K names; label k is ``class_names[k]``.
        wish: what score thresholds are chosen for; None: the best F1.
        dataset: its name.
        max_detections: limit of detections an image and class that count, as in AP.

    Raises:
        EvaluationError: a label is not 0..K-1.
    """
    names = tuple(class_names)
    matched = match_detections(images, len(names), (IOU_THRESHOLD,), max_detections)
    curves = score_curves(matched)
    thresholds, points = score_thresholds(curves, names, wish or Wish("best_f1"), dataset)
    by_label = thresholds.of_labels(names).tolist()
    errors = find_errors(images, matched)
    return DetectionAnalysis(
        dataset=dataset,
        class_names=names,
        num_images=len(images),
        thresholds=thresholds,
        operating_points=points,
        curves=curves,
        errors=errors,
        error_costs=cost_errors(matched, errors),
        confusion=confusion_matrix(images, by_label, IOU_THRESHOLD),
        slices=slice_precision(images, len(names), max_detections),
        label_suspects=find_label_suspects(images, names),
        image_scores=rank_images(images, matched, errors, names, by_label),
    )
