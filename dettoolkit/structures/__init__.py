"""The nouns that travel between the packages. Shape alphabet, used in every docstring:

N images, L levels, A anchors a location, R anchors of one image over all levels, K classes (objects only),
G ground-truth boxes, D detections. Boxes are absolute ``xyxy`` float32 pixels; labels are 0..K-1; background is no class.
"""

from dettoolkit.structures.annotations import Annotations
from dettoolkit.structures.batch import Batch
from dettoolkit.structures.dataset_info import DatasetInfo
from dettoolkit.structures.detections import Detections
from dettoolkit.structures.duration import Duration
from dettoolkit.structures.evaluated_image import EvaluatedImage
from dettoolkit.structures.finding import Finding, FindingExample, Severity
from dettoolkit.structures.loss_output import LossOutput
from dettoolkit.structures.matches import IGNORED, NEGATIVE, Matches
from dettoolkit.structures.predictions import DensePredictions
from dettoolkit.structures.sample import Sample, WayBack
from dettoolkit.structures.score_thresholds import DEFAULT_SCORE_THRESHOLD, ScoreThresholds

__all__ = [
    "DEFAULT_SCORE_THRESHOLD",
    "IGNORED",
    "NEGATIVE",
    "Annotations",
    "Batch",
    "DatasetInfo",
    "DensePredictions",
    "Detections",
    "Duration",
    "EvaluatedImage",
    "Finding",
    "FindingExample",
    "LossOutput",
    "Matches",
    "Sample",
    "ScoreThresholds",
    "Severity",
    "WayBack",
]
