"""How good a detector is: evaluators turn samples and detections into numbers; the rest shows, explains and stores them.

An evaluator of your own is a class with ``reset``, ``update`` and ``compute`` (see :class:`Evaluator`) under
``@EVALUATORS.register()``.
"""

from dettoolkit.evaluation.coco import CocoEvaluator
from dettoolkit.evaluation.coco_results import to_coco_results, write_coco_results
from dettoolkit.evaluation.collector import Collected, Collector
from dettoolkit.evaluation.curves import PrecisionRecall
from dettoolkit.evaluation.evaluator import Evaluator, Results
from dettoolkit.evaluation.low_ap import explain_low_ap
from dettoolkit.evaluation.tables import flatten, format_results
from dettoolkit.evaluation.voc import VocEvaluator

__all__ = [
    "CocoEvaluator",
    "Collected",
    "Collector",
    "Evaluator",
    "PrecisionRecall",
    "Results",
    "VocEvaluator",
    "explain_low_ap",
    "flatten",
    "format_results",
    "to_coco_results",
    "write_coco_results",
]
