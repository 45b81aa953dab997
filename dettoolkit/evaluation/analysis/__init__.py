"""Why a detector is as good as it is: numbers behind the loss and the scores, for reports, warnings and charts."""

from dettoolkit.evaluation.analysis.focal_advice import FocalSetting, advise_at_start, advise_in_training
from dettoolkit.evaluation.analysis.focal_distribution import FocalDistribution, FocalDistributionCollector
from dettoolkit.evaluation.analysis.focal_statistics import FocalObserver, FocalStatistics
from dettoolkit.evaluation.analysis.logit_histogram import count_logits, count_logits_by_level

__all__ = [
    "FocalDistribution",
    "FocalDistributionCollector",
    "FocalObserver",
    "FocalSetting",
    "FocalStatistics",
    "advise_at_start",
    "advise_in_training",
    "count_logits",
    "count_logits_by_level",
]
