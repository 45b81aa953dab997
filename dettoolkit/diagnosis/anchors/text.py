"""What the anchor doctor says, in tables and sentences."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from tabulate import tabulate

from dettoolkit.diagnosis.anchors.examination import THRESHOLDS, Examination, GroupRecall
from dettoolkit.diagnosis.anchors.suggestions import Suggestion
from dettoolkit.structures import Finding

_EXAMPLES = 5


def describe(examination: Examination, suggestions: Sequence[Suggestion], found: Sequence[Finding]) -> str:
    """Return the whole report as plain text, what is found in sentences last.

    Args:
        examination: the numbers.
        suggestions: the config as it is first; empty where none were asked for.
        found: what asks for a change.
    """
    parts = [_recall(examination), _load(examination), _suggested(suggestions), _sentences(found)]
    return "\n\n".join(part for part in parts if part)


def _recall(examination: Examination) -> str:
    groups = [examination.overall, *examination.by_size, *examination.by_class]
    headers = ["objects", "number", *(f"IoU {threshold}" for threshold in THRESHOLDS), "only by force"]
    title = (
        f"Best possible recall: objects that some anchor overlaps, of {examination.num_images:,} training images after the "
        f"transforms; 'only by force': by less than {examination.positive_from:g}"
    )
    return f"{title}\n{_table([_row(group) for group in groups], headers)}"


def _row(group: GroupRecall) -> list[str]:
    recall = [_percent(value) for value in group.recall] or ["-"] * len(THRESHOLDS)
    return [group.name, f"{group.count:,}", *recall, _percent(group.forced) if group.count else "-"]


def _load(examination: Examination) -> str:
    matching = examination.matching
    if not matching.num_images:
        return ""
    shares = zip(examination.strides, matching.share_by_level, strict=True)
    levels = ", ".join(f"stride {stride} {_percent(share)}" for stride, share in shares)
    positives, anchors = matching.positives.sum(1).double(), float(matching.anchors.double().mean())
    return (
        f"What the matcher does in {matching.num_images:,} of these images ({anchors:,.0f} anchors an image)\n"
        f"positives: {positives.mean():.1f} an image, from {positives.min():.0f} to {positives.max():.0f}\n"
        f"load of the levels: {levels}\n"
        f"objects that no anchor stands for: {len(matching.without_anchor):,} of {matching.num_objects:,}"
    )


def _suggested(suggestions: Sequence[Suggestion]) -> str:
    if not suggestions:
        return ""
    if len(suggestions) == 1:
        return "No change of scales, ratios, levels or input size that was tried brings half a percent of the objects more."
    rows = [
        [
            str(number) if number else "",
            each.words,
            *(_percent(value) for value in each.recall),
            f"{each.weakest_class[0]} {_percent(each.weakest_class[1])}",
            f"{each.anchors:,.0f}",
            f"{each.pixels:.2f}",
        ]
        for number, each in enumerate(suggestions)
    ]
    headers = ["", "change", *(f"IoU {threshold}" for threshold in THRESHOLDS), "weakest class", "anchors an image", "pixels"]
    lines = [f"{number}: {shlex.join(each.overrides)}" for number, each in enumerate(suggestions) if number]
    return (
        "Changes, with the recall they would bring and what they cost\n"
        f"{_table(rows, headers)}\n"
        "To be written behind a command:\n" + "\n".join(lines)
    )


def _sentences(found: Sequence[Finding]) -> str:
    if not found:
        return "Nothing to mend: the anchors reach the objects."
    lines = []
    for finding in found:
        lines.append(f"{finding.severity}: {finding.title}: {finding.count:,}. {finding.advice}")
        shown, more = finding.examples[:_EXAMPLES], len(finding.examples) - _EXAMPLES
        lines += [f"  {example.text}{f' ({example.file_name})' if example.file_name else ''}" for example in shown]
        lines += [f"  and {more} more"] if more > 0 else []
    return "\n".join(lines)


def _table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    alignment = ["left" if name in ("objects", "change", "weakest class") else "right" for name in headers]
    return tabulate(rows, headers, colalign=alignment, disable_numparse=True)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
