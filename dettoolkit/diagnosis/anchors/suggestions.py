"""Suggestions: changes of the config whose effect has been computed, not guessed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from dettoolkit.data.records import RecordArray
from dettoolkit.diagnosis.anchors.boxes import TransformedBoxes, transformed_boxes
from dettoolkit.diagnosis.anchors.candidates import Candidate, candidates
from dettoolkit.diagnosis.anchors.examination import GroupRecall, group_recall
from dettoolkit.diagnosis.anchors.overlap import best_overlaps, map_sizes, padded
from dettoolkit.diagnosis.anchors.parts import AnchorParts
from dettoolkit.errors import ConfigError

_WORTHWHILE = 0.005  # of all objects
_AS_MUCH = 0.002
_SHOWN = 5
_COMBINED = 3  # the best changes of scales that are tried together with the best changes of ratios


@dataclass(frozen=True)
class Suggestion:
    """A change, what it would bring, and what it would cost.

    Args:
        words: what it does; ``as configured`` for the config as it is.
        overrides: ``(KEY, VALUE, ...)``, checked to load.
        recall: share of the objects that some anchor would overlap by each of ``THRESHOLDS``.
        matchable: share that some anchor would overlap by the matcher's threshold.
        weakest_class: the class with the smallest such share, and that share.
        anchors: anchors of an image, the mean over the images.
        pixels: area of the network's input, in times of what it is now.
    """

    words: str
    overrides: tuple[str, ...]
    recall: tuple[float, ...]
    matchable: float
    weakest_class: tuple[str, float]
    anchors: float
    pixels: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Trial:
    """What suggestions are computed from: a config, boxes of a part of its data set, and how to load changes of it."""

    cfg: CfgNode
    parts: AnchorParts
    records: RecordArray
    class_names: Sequence[str]
    load: Callable[[Sequence[str]], CfgNode]
    boxes: TransformedBoxes

    def outcome(self, change: Candidate) -> Suggestion | None:
        """Return what a change would bring; None where the detector cannot be built with it."""
        try:
            cfg = self.load(change.overrides)
            same_neck = cfg.MODEL.get("NECK") == self.cfg.MODEL.get("NECK")
            parts = self.parts.rebuilt(cfg) if same_neck else AnchorParts.of_config(cfg, len(self.class_names))
        except ConfigError:  # a backbone without C2, a plugin's own anchors
            return None
        boxes = self.boxes
        if cfg.DATASETS.TRAIN_TRANSFORMS != self.cfg.DATASETS.TRAIN_TRANSFORMS:
            boxes = transformed_boxes(cfg, self.records, self.boxes.indices.numpy()).objects()
        return self._measured(change, boxes, parts)

    def _measured(self, change: Candidate, boxes: TransformedBoxes, parts: AnchorParts) -> Suggestion:
        sizes = padded(boxes.sizes, parts.divisibility)
        iou = best_overlaps(boxes.boxes, sizes[boxes.images], parts.anchors).iou
        overall = group_recall("all", iou, parts.positive_from)
        weakest = _weakest(iou, boxes.labels, self.class_names, parts.positive_from)
        area = sizes.double().prod(1).mean()
        before = padded(self.boxes.sizes, self.parts.divisibility).double().prod(1).mean()
        return Suggestion(
            change.words,
            change.overrides,
            overall.recall,
            1 - overall.forced,
            weakest,
            _anchors_of(sizes, parts),
            float(area / before),
        )


def suggest(
    cfg: CfgNode,
    parts: AnchorParts,
    records: RecordArray,
    class_names: Sequence[str],
    indices: np.ndarray,
    load: Callable[[Sequence[str]], CfgNode],
) -> list[Suggestion]:
    """Return the config as it is, and then the changes worth their anchors, the largest recall first.

    A change is left out if it brings less than half a percent of the objects, or if another one brings as much with as few
    anchors. Changes of sizes and of ratios are tried together, too.

    Args:
        cfg: of the detector.
        parts: its anchors and matcher.
        records: of the training set, with at least one object among the images.
        class_names: of the training set.
        indices: of the images to compute with.
        load: returns the config with further overrides; whatever is suggested has been loaded by it.
    """
    trial = _Trial(cfg, parts, records, class_names, load, transformed_boxes(cfg, records, indices).objects())
    now = trial.outcome(Candidate("", "as configured", ()))
    assert now is not None, "the config has been loaded and built before"
    changes = candidates(cfg, trial.boxes.boxes)
    outcomes = [(change, outcome) for change in changes if (outcome := trial.outcome(change)) is not None]
    for change in _combinations(outcomes):
        outcome = trial.outcome(change)
        outcomes += [(change, outcome)] if outcome is not None else []
    better = [outcome for _, outcome in outcomes if outcome.matchable >= now.matchable + _WORTHWHILE]
    front = [each for each in better if not any(_beats(other, each) for other in better)]
    return [now, *sorted(front, key=lambda each: -each.matchable)[:_SHOWN]]


def _combinations(outcomes: Sequence[tuple[Candidate, Suggestion]]) -> list[Candidate]:
    def best(kind: str) -> list[Candidate]:
        ranked = sorted(outcomes, key=lambda pair: -pair[1].matchable)
        return [change for change, _ in ranked if change.kind == kind][:_COMBINED]

    return [scales.together(ratios) for scales in best("scales") for ratios in best("ratios")]


def _beats(one: Suggestion, other: Suggestion) -> bool:
    """Whether one brings as much with fewer anchors, or more with as few; a fifth of a percent is no difference."""
    if one.anchors < other.anchors:
        return one.matchable >= other.matchable - _AS_MUCH
    return one.anchors == other.anchors and one.matchable > other.matchable


def _weakest(iou: Tensor, labels: Tensor, class_names: Sequence[str], positive_from: float) -> tuple[str, float]:
    groups: list[GroupRecall] = [
        group_recall(class_names[label], iou[labels == label], positive_from) for label in torch.unique(labels).tolist()
    ]
    worst = max(groups, key=lambda group: group.forced)
    return worst.name, 1 - worst.forced


def _anchors_of(sizes: Tensor, parts: AnchorParts) -> float:
    distinct, counts = torch.unique(sizes, dim=0, return_counts=True)
    cells = [sum(height * width for height, width in map_sizes(size, parts.anchors.strides)) for size in distinct.tolist()]
    places = (torch.tensor(cells, dtype=torch.float64) * counts).sum() / counts.sum()
    return float(places) * parts.anchors.num_anchors
