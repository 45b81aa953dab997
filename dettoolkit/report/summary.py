"""The top of the page: what a reader should know who reads nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dettoolkit.evaluation.analysis import ERROR_TYPES, DetectionAnalysis, Slice
from dettoolkit.report.contents import ReportData
from dettoolkit.report.errors import MEANINGS
from dettoolkit.report.findings import SEVERITIES
from dettoolkit.report.tables import Table, finite

_FEWEST_OF_ALL, _FEWEST = 0.02, 10  # objects of a part that is worth a sentence
_WORSE = 0.8  # times the AP of all: from there on down a part is weak


@dataclass(frozen=True)
class Sentence:
    """A sentence of the summary.

    Args:
        text: what it says.
        link: id of the section that says more.
        more: what the section is called.
    """

    text: str
    link: str
    more: str


@dataclass(frozen=True)
class Summary:
    """What the template shows.

    Args:
        table: numbers of the first data set; None without results.
        scope: what was evaluated, in words; empty without an analysis.
        sentences: what costs most, in plain words.
    """

    table: Table | None
    scope: str
    sentences: list[Sentence]


def summarise(data: ReportData, tables: Sequence[Table]) -> Summary:
    """Return the summary."""
    told = [_exactness(data, tables), _dearest_error(data.analysis), _weakest(data), _warning(data)]
    scope = ""
    if data.analysis is not None:
        objects = sum(curve.num_truth for curve in data.analysis.curves)
        name = f" of {data.analysis.dataset}" if data.analysis.dataset else ""
        scope = (
            f"{_number(data.analysis.num_images, 'image')}{name} with {_number(objects, 'object')} "
            f"of {_number(len(data.analysis.class_names), 'class', 'classes')}."
        )
    return Summary(tables[0] if tables else None, scope, [sentence for sentence in told if sentence is not None])


def _exactness(data: ReportData, tables: Sequence[Table]) -> Sentence | None:
    """Return that boxes are found and not exact, where that costs more than any error at an IoU of 0.5, which cannot see it."""
    numbers = {name: value for name, (_, value) in tables[0].headline.items()} if tables else {}
    values = [numbers.get(name) for name in ("AP", "AP50", "AP75")]
    if data.analysis is None or any(value is None for value in values):
        return None
    ap, ap50, ap75 = (float(value or 0) for value in values)
    if ap50 - ap <= max(float(data.analysis.error_costs.ap_costs.max()), 1 - ap50):
        return None
    text = (
        f"Most of what the AP lacks is exactness of the boxes: it is {ap50:.3f} where an IoU of 0.5 is enough, "
        f"{ap75:.3f} at 0.75, and {ap:.3f} in the mean of 0.5 to 0.95."
    )
    return Sentence(text, "slices", "Parts of the objects")


def _dearest_error(analysis: DetectionAnalysis | None) -> Sentence | None:
    if analysis is None or analysis.error_costs.ap is None:
        return None
    costs = analysis.error_costs
    kind = int(costs.ap_costs.argmax())
    name, cost, number = ERROR_TYPES[kind], float(costs.ap_costs[kind]), int(costs.counts[kind].sum())
    if cost <= 0:
        return Sentence("No type of error costs any AP50.", "errors", "Errors")
    text = (
        f"Of all types of error, {name} ({MEANINGS[name]}) costs most: mending its {_number(number, 'case')} would add "
        f"{cost:.4f} to AP50."
    )
    return Sentence(text, "errors", "Errors")


def _weakest(data: ReportData) -> Sentence | None:
    """Return the class and the part of the objects with the lowest AP."""
    of_class, part = _weakest_class(data), _weakest_part(data)
    if of_class and part:
        text = f"The weakest class is {of_class}; the weakest part of the objects is {part}."
        return Sentence(text, "slices", "Parts of the objects")
    if of_class:
        return Sentence(f"The weakest class is {of_class}.", "accuracy", "Accuracy by class")
    return Sentence(f"The weakest part of the objects is {part}.", "slices", "Parts of the objects") if part else None


def _weakest_class(data: ReportData) -> str:
    metrics = next((tasks["bbox"] for tasks in data.results.values() if "bbox" in tasks), {})
    aps = {}
    for name, values in metrics.get("per_class", {}).items():
        ap = finite(values.get("AP")) if hasattr(values, "get") else finite(values)
        if ap is not None:
            aps[name] = ap
    if len(aps) < 2:
        return ""
    name = min(aps, key=lambda key: aps[key])
    return f"{name} with an AP of {aps[name]:.3f}, where the mean is {float(np.mean(list(aps.values()))):.3f}"


def _weakest_part(data: ReportData) -> str:
    """Return the part with the lowest AP, of those with enough objects and clearly below all."""
    if data.analysis is None:
        return ""
    objects = sum(curve.num_truth for curve in data.analysis.curves)
    least = max(_FEWEST, _FEWEST_OF_ALL * objects)
    parts = [
        part for group in data.analysis.slices.values() for part in group if part.ap is not None and part.num_truth >= least
    ]
    if not parts:
        return ""
    worst = min(parts, key=_ap)
    best = max(_ap(part) for part in parts)
    if _ap(worst) >= _WORSE * best:
        return ""
    return f"“{worst.name}” ({worst.meaning}; {_number(worst.num_truth, 'object')}) with an AP of {_ap(worst):.3f}"


def _ap(part: Slice) -> float:
    return part.ap if part.ap is not None else 0.0


def _warning(data: ReportData) -> Sentence | None:
    """Return what anchors and data ask for; the worst finding first, and that there is none where there is none."""
    anchors = [] if data.anchors is None else [(finding, "anchors", "Anchors") for finding in data.anchors.findings]
    of_data = [] if data.findings is None else [(finding, "findings", "Data") for finding in data.findings.findings]
    serious = [each for each in (*of_data, *anchors) if each[0].severity != "hint"]
    if serious:
        finding, link, more = min(serious, key=lambda each: SEVERITIES.index(each[0].severity))
        others = f", and {_number(len(serious) - 1, 'other finding')}" if len(serious) > 1 else ""
        whose = "The anchors" if link == "anchors" else "The data"
        return Sentence(f"{whose} ask for a look: {finding.title} ({finding.count:,}){others}.", link, more)
    looked = [
        name for name, there in (("the anchors", data.anchors), ("the boxes of the data", data.findings)) if there is not None
    ]
    if looked:
        link, more = ("anchors", "Anchors") if data.anchors is not None else ("findings", "Data")
        return Sentence(f"Nothing is to be mended about {' and '.join(looked)}.", link, more)
    return None


def _number(value: int, one: str, many: str = "") -> str:
    return f"{value:,} {one if value == 1 else many or one + 's'}"
