"""What an evaluation says beyond its numbers: its analysis, and the score thresholds that its wish leads to."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dettoolkit.distributed import is_main_process
from dettoolkit.engine.evaluating import DatasetEvaluation
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.evaluation.analysis import (
    Calibration,
    DetectionAnalysis,
    MatchedDetections,
    OperatingPoint,
    PrecisionIntervals,
    Wish,
    analyse,
    assess_calibration,
    bootstrap_precision,
    evaluated_images,
    match_detections,
    score_curves,
    score_thresholds,
)
from dettoolkit.structures import EvaluatedImage, ScoreThresholds

logger = logging.getLogger(__name__)

# the seconds of a bootstrap grow with replicates times detections: some 3 s for 20,000 on one core, and not above 20
_MOST_REPLICATES, _FEWEST_REPLICATES, _CHEAP_DETECTIONS = 1000, 200, 100_000


def wish_of(text: str) -> Wish | None:
    """Return the wish of ``EVALUATION.THRESHOLDS``; None for ``none``.

    Raises:
        ConfigError: it is none.
    """
    return None if text.strip() == "none" else Wish.parse(text, "EVALUATION.THRESHOLDS")


def all_images(evaluation: DatasetEvaluation) -> list[EvaluatedImage] | None:
    """Return all images of the last evaluation; None where no evaluator keeps them, or this is not the main process."""
    evaluator = next((one for one in evaluation.evaluators if hasattr(one, "collected")), None)
    if evaluator is None or not is_main_process():
        return None
    dataset = evaluation.dataset
    return evaluated_images(evaluator.collected(), lambda id: dataset.records[dataset.index_of(id)].file_name)


def _max_detections(evaluation: DatasetEvaluation) -> int:
    """Return the limit of detections an image and class that AP is taken with; 100, COCO's, where no evaluator says one."""
    limits = [one.max_detections[-1] for one in evaluation.evaluators if hasattr(one, "max_detections")]
    return limits[0] if limits else 100


def measure_thresholds(evaluations: Sequence[DatasetEvaluation]) -> ScoreThresholds | None:
    """Return the score thresholds that the wish leads to on the first data set, and log them; None without a wish.

    Called after an evaluation; in processes other than the main one it returns None.
    """
    if not evaluations or evaluations[0].wish is None:
        return None
    first, wish = evaluations[0], evaluations[0].wish
    images = all_images(first)
    if images is None:
        if is_main_process():
            logger.warning("EVALUATION.THRESHOLDS: no evaluator keeps the detections, as CocoEvaluator does: nothing chosen")
        return None
    info = first.dataset.info
    curves = score_curves(match_detections(images, info.num_classes, (0.5,), _max_detections(first)))
    thresholds, points = score_thresholds(curves, info.class_names, wish, info.name)
    logger.info("score thresholds for %s on %s:\n%s", wish, info.name, threshold_table(info.class_names, points))
    return thresholds


def threshold_table(class_names: Sequence[str], points: Sequence[OperatingPoint]) -> str:
    """Return a table of thresholds and what they lead to, and below it what cannot be met."""
    from tabulate import tabulate

    header = ["class", "score", "precision", "recall", "F1"]
    rows = [
        [name, *("n/a" if value is None else f"{value:.3f}" for value in (one.threshold, one.precision, one.recall, one.f1))]
        for name, one in zip(class_names, points, strict=True)
    ]
    notes = [f"{name}: {one.note}" for name, one in zip(class_names, points, strict=True) if not one.is_met]
    return "\n".join([tabulate(rows, header, disable_numparse=True, colalign=("left", *["right"] * 4)), *notes])


@dataclass(frozen=True)
class Insight:
    """What an evaluation says beyond its numbers.

    Args:
        images: all of them, in the order of ``analysis``.
        analysis: of them.
        intervals: of AP; None of fewer than two images.
        calibration: of the scores; None without detections.
    """

    images: Sequence[EvaluatedImage]
    analysis: DetectionAnalysis
    intervals: PrecisionIntervals | None
    calibration: Calibration | None


def write_analyses(folder: Path, evaluations: Sequence[DatasetEvaluation]) -> dict[str, Insight]:
    """Analyse the last evaluation of each data set and write ``inference/<data set>/analysis.json``.

    Args:
        folder: of the run.
        evaluations: those that ran.

    Returns:
        Data set -> what was found; without those of which no evaluator keeps the detections. Empty but in the main process.
    """
    insights = {}
    for evaluation in evaluations:
        images = all_images(evaluation)
        if images is None:
            continue
        info, limit = evaluation.dataset.info, _max_detections(evaluation)
        analysis = analyse(images, info.class_names, evaluation.wish, info.name, limit)
        path = RunFolder(folder).inference(info.name) / "analysis.json"
        text = json.dumps(analysis.to_dict(), ensure_ascii=False, allow_nan=False)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")  # JSON's own way for names that are no UTF-8
        logger.info("analysis: %s", path)
        matched = match_detections(images, info.num_classes, max_detections=limit)
        insights[info.name] = Insight(images, analysis, _intervals(matched), _calibration(matched))
    return insights


def _intervals(matched: MatchedDetections) -> PrecisionIntervals | None:
    if len(matched.num_truth) < 2:
        return None
    affordable = _MOST_REPLICATES * _CHEAP_DETECTIONS // max(len(matched.score), _CHEAP_DETECTIONS)
    return bootstrap_precision(matched, max(affordable, _FEWEST_REPLICATES))


def _calibration(matched: MatchedDetections) -> Calibration | None:
    at_50 = matched.threshold_index(0.5)
    return assess_calibration(matched) if (~matched.ignored[at_50]).any() else None
