"""The anchor doctor: how many objects the anchors can reach, which only by force, and what would reach more."""

from dettoolkit.diagnosis.anchors.at_start import anchors_in_one_line
from dettoolkit.diagnosis.anchors.examination import Examination, examine
from dettoolkit.diagnosis.anchors.findings import findings
from dettoolkit.diagnosis.anchors.parts import AnchorParts
from dettoolkit.diagnosis.anchors.suggestions import Suggestion, suggest
from dettoolkit.diagnosis.anchors.text import describe

__all__ = ["AnchorParts", "Examination", "Suggestion", "anchors_in_one_line", "describe", "examine", "findings", "suggest"]
