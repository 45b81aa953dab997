"""What a report is made of: plain data, whoever it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dettoolkit.evaluation.analysis import Calibration, DetectionAnalysis, FocalDistribution, PrecisionIntervals
from dettoolkit.evaluation.curves import PrecisionRecall
from dettoolkit.structures import EvaluatedImage, Finding


@dataclass(frozen=True)
class AnchorData:
    """What the anchor doctor says.

    Args:
        dataset: that the anchors were compared with.
        transforms: that its boxes went through: the name of the config key.
        examination: ``Examination.to_dict()``: recall by size and class, load of the levels.
        findings: what asks for a change; empty: nothing does.
        suggestions: ``Suggestion.to_dict()`` of each change worth its anchors, the config as it is first; empty: none
            were tried.
    """

    dataset: str
    transforms: str
    examination: Mapping[str, Any]
    findings: Sequence[Finding] = ()
    suggestions: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class FindingsData:
    """What the boxes and classes of data sets show.

    Args:
        datasets: that were looked at.
        findings: empty: nothing was found.
    """

    datasets: Sequence[str]
    findings: Sequence[Finding]


@dataclass(frozen=True)
class EvaluationTime:
    """Where the time of an evaluation went.

    Args:
        dataset: that was evaluated on.
        device: that computed.
        num_images: looked at in this process.
        seconds: part -> seconds for all of them, in the order of the page.
    """

    dataset: str
    device: str
    num_images: int
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class ReportData:
    """All that a report shows.

    Args:
        title: the headline, the name of the run say.
        class_names: ``[K]``; label k is ``class_names[k]``.
        results: data set -> task -> metric -> number in 0..1, as evaluators return them; None or NaN: not available. The
            metric ``per_class`` holds class -> number, or class -> metric -> number.
        curves: class -> precision and recall, as ``CocoEvaluator.curves()`` returns them; shown where there is no analysis.
        history: the lines of ``metrics.jsonl``, each with ``iteration``.
        images: for the gallery.
        focal: how focal loss is spread over the outputs; None: not measured.
        config_text: the YAML of the run.
        environment_text: versions and hardware.
        analysis: of the first data set; None: not analysed.
        intervals: data set -> AP with intervals; shown where they are of the AP in ``results``.
        calibration: of the first data set; None: not measured.
        anchors: None: not examined.
        findings: None: the data sets were not looked at.
        evaluation_time: None: not measured.
        batch_size: images of a training step in all processes together; None: unknown.
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
    analysis: DetectionAnalysis | None = None
    intervals: Mapping[str, PrecisionIntervals] = field(default_factory=dict)
    calibration: Calibration | None = None
    anchors: AnchorData | None = None
    findings: FindingsData | None = None
    evaluation_time: EvaluationTime | None = None
    batch_size: int | None = None
