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
from dettoolkit.evaluation.analysis.comparison import Comparison, compare_precision
from dettoolkit.evaluation.analysis.focal_advice import FocalSetting, advise_at_start, advise_in_training
from dettoolkit.evaluation.analysis.focal_distribution import FocalDistribution, FocalDistributionCollector
from dettoolkit.evaluation.analysis.focal_statistics import FocalObserver, FocalStatistics
from dettoolkit.evaluation.analysis.logit_histogram import count_logits, count_logits_by_level
from dettoolkit.evaluation.analysis.matching import COCO_IOU_THRESHOLDS, MatchedDetections, match_detections

__all__ = [
    "COCO_IOU_THRESHOLDS",
    "Calibration",
    "Comparison",
    "FocalDistribution",
    "FocalDistributionCollector",
    "FocalObserver",
    "FocalSetting",
    "FocalStatistics",
    "Interval",
    "MatchedDetections",
    "PrecisionIntervals",
    "ReliabilityCurve",
    "advise_at_start",
    "advise_in_training",
    "average_precision",
    "average_precisions",
    "bootstrap_precision",
    "assess_calibration",
    "compare_precision",
    "count_logits",
    "count_logits_by_level",
    "fit_temperature",
    "match_detections",
    "reliability_curve",
    "scale_scores",
]
