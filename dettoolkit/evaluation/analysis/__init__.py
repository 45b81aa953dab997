"""Why a detector is as good as it is: numbers behind the loss and the scores, for reports, warnings and charts."""

from dettoolkit.evaluation.analysis.average_precision import average_precision, average_precisions
from dettoolkit.evaluation.analysis.focal_advice import FocalSetting, advise_at_start, advise_in_training
from dettoolkit.evaluation.analysis.focal_distribution import FocalDistribution, FocalDistributionCollector
from dettoolkit.evaluation.analysis.focal_statistics import FocalObserver, FocalStatistics
from dettoolkit.evaluation.analysis.logit_histogram import count_logits, count_logits_by_level
from dettoolkit.evaluation.analysis.matching import COCO_IOU_THRESHOLDS, MatchedDetections, match_detections

__all__ = [
    "COCO_IOU_THRESHOLDS",
    "FocalDistribution",
    "FocalDistributionCollector",
    "FocalObserver",
    "FocalSetting",
    "FocalStatistics",
    "MatchedDetections",
    "advise_at_start",
    "advise_in_training",
    "average_precision",
    "average_precisions",
    "count_logits",
    "count_logits_by_level",
    "match_detections",
]
