"""What of an examination asks for a change, as findings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dettoolkit.data.records import RecordArray
from dettoolkit.diagnosis.anchors.examination import Examination, GroupRecall
from dettoolkit.structures import Finding, FindingExample

_MANY_FORCED = 0.05  # of all objects
_MANY_FORCED_OF_A_GROUP = 0.2
_MANY_WITHOUT = 0.01
_IDLE = 0.005  # of the positives
_FEW_OBJECTS, _FEW_OF_ALL = 10, 0.001  # of which a share says little
_EXAMPLES = 5


def findings(examination: Examination, records: RecordArray, dataset: str) -> list[Finding]:
    """Return what asks for a change, the most serious first; an empty list where nothing does.

    Args:
        examination: of the anchors.
        records: of the data set, for the places of the examples.
        dataset: its name.
    """
    places = _Places(records, dataset)
    found = [
        *_out_of_reach(examination, places),
        *_groups_out_of_reach(examination),
        *_without_anchor(examination, places),
        *_idle_levels(examination),
    ]
    return sorted(found, key=lambda finding: ("error", "warning", "hint").index(finding.severity))


class _Places:
    """Where the boxes of a data set are, by their number."""

    def __init__(self, records: RecordArray, dataset: str) -> None:
        self.records, self.dataset = records, dataset
        self._ends = np.cumsum(records.num_boxes, dtype=np.int64)

    def example(self, number: int, text: str) -> FindingExample:
        index = int(np.searchsorted(self._ends, number, side="right"))
        record = self.records[index]
        x1, y1, x2, y2 = record.boxes[number - int(self._ends[index])].tolist()
        return FindingExample(text, self.dataset, record.image_id, record.file_name, (x1, y1, x2, y2))


def _out_of_reach(examination: Examination, places: _Places) -> list[Finding]:
    overall = examination.overall
    if overall.forced <= _MANY_FORCED:
        return []
    worst = torch.argsort(examination.iou)[:_EXAMPLES].tolist()
    examples = []
    for row in worst:
        x1, y1, x2, y2 = examination.objects.boxes[row].tolist()
        text = f"{x2 - x1:.0f} x {y2 - y1:.0f} pixels after the transforms, best IoU {float(examination.iou[row]):.2f}"
        examples.append(places.example(int(examination.objects.numbers[row]), text))
    return [
        Finding(
            "objects-out-of-reach",
            "warning",
            f"objects that no anchor overlaps by {examination.positive_from:g}",
            round(overall.forced * overall.count),
            tuple(examples),
            "They are learned from few anchors that fit badly, or not at all. Take one of the changes, or a larger input.",
        )
    ]


def _groups_out_of_reach(examination: Examination) -> list[Finding]:
    advice = "What these {} have in common, the anchors lack: smaller or larger ones, other shapes, a finer level."
    found = []
    for kind, groups in (("sizes", examination.by_size), ("classes", examination.by_class)):
        poor = [group for group in groups if _is_poor(group, examination.overall.count)]
        examples = tuple(
            FindingExample(f"{group.name}: {group.forced:.1%} of {group.count:,} objects")
            for group in sorted(poor, key=lambda group: -group.forced)
        )
        title = f"{kind} of which many objects are overlapped by no anchor by {examination.positive_from:g}"
        if poor:
            found.append(Finding(f"{kind}-out-of-reach", "warning", title, len(poor), examples, advice.format(kind)))
    return found


def _is_poor(group: GroupRecall, total: int) -> bool:
    return group.count >= max(_FEW_OBJECTS, _FEW_OF_ALL * total) and group.forced > _MANY_FORCED_OF_A_GROUP


def _without_anchor(examination: Examination, places: _Places) -> list[Finding]:
    matching = examination.matching
    missing = matching.without_anchor
    if len(missing) <= _MANY_WITHOUT * matching.num_objects:
        return []
    examples = tuple(places.example(number, "no anchor stands for it") for number in missing[:_EXAMPLES].tolist())
    return [
        Finding(
            "objects-without-anchor",
            "warning",
            f"objects that no anchor stands for (of {matching.num_objects} in {matching.num_images} images)",
            len(missing),
            examples,
            "Their neighbours overlap the same anchors more, or nothing overlaps them enough: they are trained on as "
            "background. More and smaller anchors, a finer level or a larger input help.",
        )
    ]


def _idle_levels(examination: Examination) -> list[Finding]:
    shares: Sequence[float] = examination.matching.share_by_level
    idle = [index for index, share in enumerate(shares) if share < _IDLE]
    if not idle or not any(shares):
        return []
    examples = tuple(
        FindingExample(f"stride {examination.strides[index]}: {shares[index]:.2%} of the positives") for index in idle
    )
    return [
        Finding(
            "idle-levels",
            "hint",
            "levels that hardly any object is learned at",
            len(idle),
            examples,
            "A level at the coarse end costs little and can stay, or go by MODEL.NECK.LEVELS. At the fine end it costs most of "
            "the time: smaller anchors use it.",
        )
    ]
