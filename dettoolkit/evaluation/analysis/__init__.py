"""Why a detector is as good as it is: numbers behind the loss and the scores, for reports, warnings and charts."""

from dettoolkit.evaluation.analysis.average_precision import average_precision, average_precisions
from dettoolkit.evaluation.analysis.bootstrap import Interval, PrecisionIntervals, bootstrap_precision
from dettoolkit.evaluation.analysis.calibration import (
    Calibration,
    ReliabilityCurve,
    assess_calibration,
    fit_temperature,
    reliability_curve,
    scale_scores,
)
from dettoolkit.evaluation.analysis.collecting import collect_images, evaluated_images
from dettoolkit.evaluation.analysis.comparison import Comparison, compare_precision
from dettoolkit.evaluation.analysis.confusion import ConfusionMatrix, confusion_matrix
from dettoolkit.evaluation.analysis.detection_analysis import DetectionAnalysis, analyse
from dettoolkit.evaluation.analysis.error_costs import ErrorCosts, cost_errors
from dettoolkit.evaluation.analysis.error_types import ERROR_TYPES, DetectionErrors, find_errors
from dettoolkit.evaluation.analysis.focal_advice import FocalSetting, advise_at_start, advise_in_training
from dettoolkit.evaluation.analysis.focal_distribution import FocalDistribution, FocalDistributionCollector
from dettoolkit.evaluation.analysis.focal_statistics import FocalObserver, FocalStatistics
from dettoolkit.evaluation.analysis.image_ranking import ImageScore, rank_images
from dettoolkit.evaluation.analysis.label_suspects import LabelSuspect, find_label_suspects
from dettoolkit.evaluation.analysis.logit_histogram import count_logits, count_logits_by_level
from dettoolkit.evaluation.analysis.matching import COCO_IOU_THRESHOLDS, MatchedDetections, match_detections
from dettoolkit.evaluation.analysis.operating_points import OperatingPoint, Wish, operating_point, score_thresholds
from dettoolkit.evaluation.analysis.score_curves import ScoreCurve, score_curves
from dettoolkit.evaluation.analysis.slices import Slice, slice_precision

__all__ = [
    "COCO_IOU_THRESHOLDS",
    "Calibration",
    "Comparison",
    "ConfusionMatrix",
    "DetectionAnalysis",
    "DetectionErrors",
    "ERROR_TYPES",
    "ErrorCosts",
    "FocalDistribution",
    "FocalDistributionCollector",
    "FocalObserver",
    "FocalSetting",
    "FocalStatistics",
    "ImageScore",
    "Interval",
    "LabelSuspect",
    "MatchedDetections",
    "OperatingPoint",
    "PrecisionIntervals",
    "ReliabilityCurve",
    "ScoreCurve",
    "Slice",
    "Wish",
    "advise_at_start",
    "advise_in_training",
    "analyse",
    "assess_calibration",
    "average_precision",
    "average_precisions",
    "bootstrap_precision",
    "collect_images",
    "compare_precision",
    "confusion_matrix",
    "cost_errors",
    "count_logits",
    "count_logits_by_level",
    "evaluated_images",
    "find_errors",
    "find_label_suspects",
    "fit_temperature",
    "match_detections",
    "operating_point",
    "rank_images",
    "reliability_curve",
    "scale_scores",
    "score_curves",
    "score_thresholds",
    "slice_precision",
]
