"""What a report is made of: plain data, whoever it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dettoolkit.evaluation.analysis import FocalDistribution
from dettoolkit.evaluation.curves import PrecisionRecall
from dettoolkit.structures import EvaluatedImage


@dataclass(frozen=True)
class ReportData:
    """All that a report shows.

    Args:
        title: the headline, the name of the run say.
        class_names: ``[K]``; label k is ``class_names[k]``.
        results: data set -> task -> metric -> number in 0..1, as evaluators return them; None or NaN: not available. The
            metric ``per_class`` holds class -> number, or class -> metric -> number.
        curves: class -> precision and recall, as ``CocoEvaluator.curves()`` returns them.
        history: the lines of ``metrics.jsonl``, each with ``iteration``.
        images: for the gallery.
        focal: how focal loss is spread over the outputs; None: not measured.
        config_text: the YAML of the run.
        environment_text: versions and hardware.
    """

    title: str
    class_names: Sequence[str]
    results: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    curves: Mapping[str, PrecisionRecall] = field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    images: Sequence[EvaluatedImage] = ()
    focal: FocalDistribution | None = None
    config_text: str = ""
    environment_text: str = ""
