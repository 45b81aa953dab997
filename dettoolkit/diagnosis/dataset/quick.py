"""The cheap part of the check, for the start of each training: boxes and classes as they were read, no image is opened."""

from __future__ import annotations

from collections.abc import Sequence

from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.diagnosis.dataset.boxes import duplicate_boxes
from dettoolkit.diagnosis.dataset.classes import class_findings
from dettoolkit.diagnosis.dataset.inspection import from_records
from dettoolkit.diagnosis.dataset.kinds import joined
from dettoolkit.diagnosis.dataset.readings import reading_findings
from dettoolkit.diagnosis.dataset.text import example_text
from dettoolkit.structures import Finding


def quick_check(train: Sequence[DetectionDataset], test: Sequence[DetectionDataset] = ()) -> list[Finding]:
    """Return what the boxes and classes of data sets show: less than a second for 100,000 boxes.

    What reading refuses or drops already, such as boxes without area, is no longer in a data set that is built.

    Args:
        train: data sets that are trained on.
        test: data sets that are evaluated on.
    """
    sets = [from_records(dataset, frozenset({"train"})) for dataset in train]
    sets += [from_records(dataset, frozenset({"test"})) for dataset in test]
    findings = list(class_findings(sets))
    for inspected in sets:
        findings += [*reading_findings(inspected), *duplicate_boxes(inspected)]
    return joined(findings)


def in_one_line(finding: Finding) -> str:
    """Return a finding with its number and its worst example, for a log."""
    example = f", such as {example_text(finding.examples[0])}" if finding.examples else ""
    return f"{finding.title}: {finding.count}{example}"
