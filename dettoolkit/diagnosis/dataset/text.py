"""The result of a check as text for people and as data for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from dettoolkit.diagnosis.dataset.check import DatasetCheck
from dettoolkit.diagnosis.dataset.kinds import counted
from dettoolkit.structures import Finding, FindingExample

_SHOWN = 5  # examples of a finding
_CLASSES_SHOWN = 20
_UNUSED = "in neither TRAIN nor TEST: its classes are not compared with the others'"  # its pictures are


def as_text(check: DatasetCheck, shown: int = _SHOWN) -> str:
    """Return what is in the data sets and what was found, errors first, the worst offenders named.

    Args:
        check: the result.
        shown: how many examples of each finding.
    """
    lines = [_summary(summary) for summary in check.summaries()]
    for finding in check.findings:
        lines += ["", *finding_lines(finding, shown)]
    return "\n".join([*lines, "", _total(check.findings)])


def as_data(check: DatasetCheck) -> dict[str, Any]:
    """Return the same as plain data for JSON: ``clean``, ``datasets`` and ``findings``."""
    findings = [finding.to_dict() for finding in check.findings]
    return {"clean": check.is_clean, "datasets": check.summaries(), "findings": findings}


def finding_lines(finding: Finding, shown: int) -> Iterator[str]:
    """Yield a finding as lines: what and how many, examples, what to do."""
    yield f"{finding.severity} {finding.kind}: {finding.title}: {finding.count}"
    examples, groups = _first_groups(finding.examples, shown)
    yield from (f"    {example_text(example)}" for example in examples)
    if finding.examples and shown and finding.count > groups:
        yield f"    and {finding.count - groups} more"
    if finding.advice:
        yield f"    {finding.advice}"


def _first_groups(examples: Sequence[FindingExample], shown: int) -> tuple[list[FindingExample], int]:
    """Return the examples of the first ``shown`` things, those of one group being about one thing, and how many things."""
    grouped = [list(group) for _, group in groupby(enumerate(examples), lambda item: item[1].group or -1 - item[0])]
    return [example for group in grouped[:shown] for _, example in group], len(grouped[:shown])


def example_text(example: FindingExample) -> str:
    """Return an example with its place, in one line."""
    place = "" if not example.place or example.text.startswith(example.place) else f"{example.place}: "
    file = "" if not example.file_name or example.file_name in example.text else f" ({example.file_name})"
    dataset = example.dataset if not place else ""
    words = f"{place}{example.text}{file}"
    return f"{dataset}: {words}" if dataset and words else dataset or words


def _summary(summary: dict[str, Any]) -> str:
    most = Counter(summary["classes"]).most_common(_CLASSES_SHOWN)
    classes = ", ".join(f"{name} {number}" for name, number in most)
    rest = len(summary["classes"]) - len(most)
    uses = " and ".join(summary["uses"]) or _UNUSED
    crowds = f", {summary['crowd_boxes']} of them crowds" if summary["crowd_boxes"] else ""
    more = f" and {rest} more" if rest else ""
    images, boxes = counted(summary["images"], "image"), counted(summary["boxes"], "box", "boxes")
    return f"{summary['name']} ({uses}): {images}, {boxes}{crowds}; {classes}{more}"


def _total(findings: Sequence[Finding]) -> str:
    counts = Counter(str(finding.severity) for finding in findings)
    words = [f"{counts[severity]} {severity}{'s' * (counts[severity] > 1)}" for severity in counts]
    return f"kinds of findings: {', '.join(words)}" if words else "nothing found"
