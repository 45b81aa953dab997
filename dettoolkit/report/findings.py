"""What the boxes and classes of the data sets show, in words: the check of the images has pictures on a page of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dettoolkit.report.contents import FindingsData
from dettoolkit.structures import Finding, FindingExample

SEVERITIES = ("error", "warning", "hint")

_EXAMPLES = 5


@dataclass(frozen=True)
class FindingView:
    """One finding.

    Args:
        finding: as it was found.
        examples: the first ones, each in a line.
    """

    finding: Finding
    examples: list[str]


@dataclass(frozen=True)
class FindingsSection:
    """What the template shows.

    Args:
        datasets: that were looked at, in words.
        views: errors first, then warnings, then hints.
    """

    datasets: str
    views: list[FindingView]


def findings_section(data: FindingsData | None) -> FindingsSection | None:
    """Return the section, or None where the data were not looked at."""
    if data is None:
        return None
    return FindingsSection(", ".join(dict.fromkeys(data.datasets)), finding_views(data.findings))


def finding_views(findings: Sequence[Finding]) -> list[FindingView]:
    """Return findings as the macro ``findings`` shows them."""
    order = sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), -finding.count))
    return [FindingView(finding, [_line(example) for example in finding.examples[:_EXAMPLES]]) for finding in order]


def _line(example: FindingExample) -> str:
    where = [part for part in (example.dataset, example.file_name, example.place) if part and part not in example.text]
    return f"{example.text} ({', '.join(where)})" if where else example.text
