"""What several views of an image show, made one list of detections."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dettoolkit.config import RUN_SCHEMA
from dettoolkit.config.check import Checker
from dettoolkit.config.yaml_reader import plain
from dettoolkit.data.views import View, Views
from dettoolkit.errors import ConfigError
from dettoolkit.registry import NMS
from dettoolkit.registry.schema import Problems
from dettoolkit.structures import Detections, Sample

# a box whose edge is as near to the edge of its tile is taken for cut by it
_CUT_WITHIN = 2.0  # pixels of the original image


class ViewMerger:
    """Merges the detections of an image's views.

    Boxes that the edge of a tile cuts are left out where something else shows them whole: the neighbouring tile, if they are
    smaller than what both show, or the view of the whole image.

    Args:
        nms: of the registry NMS; merges the boxes of all views.
        max_detections: at most this many are returned for an image.
        least_overlap: pixels of the original image, (height, width), that neighbouring tiles share at least.
    """

    def __init__(self, nms: Any, max_detections: int = 100, least_overlap: tuple[float, float] = (0.0, 0.0)) -> None:
        self.nms = nms
        self.max_detections = max_detections
        self.least_overlap = least_overlap
        self._waiting: list[tuple[Sample, Detections]] = []

    def completed(self, samples: Iterable[Sample], found: Iterable[Detections]) -> tuple[list[Sample], list[Detections]]:
        """Return the sample and the detections of each image of which all views are there now; keep the others for later.

        Args:
            samples: with ``view``, ``num_views`` and ``original_size``; views of an image follow each other, over calls too.
            found: what each of them shows, in pixels of the original image.
        """
        whole, merged = [], []
        for sample, detections in zip(samples, found, strict=True):
            self._waiting.append((sample, detections))
            if len(self._waiting) == sample["num_views"]:
                views, shown = [each["view"] for each, _ in self._waiting], [each for _, each in self._waiting]
                whole.append(self._waiting[0][0])
                merged.append(self(views, shown, sample["original_size"]))
                self._waiting = []
        return whole, merged

    def fresh(self) -> ViewMerger:
        """Return one that merges alike and waits for nothing."""
        return ViewMerger(self.nms, self.max_detections, self.least_overlap)

    def reset(self) -> None:
        """Forget views that wait for others of their image."""
        self._waiting = []

    def __call__(self, views: Sequence[View], found: Sequence[Detections], size: tuple[int, int]) -> Detections:
        """Return the detections of an image, best first.

        Args:
            views: V views of it.
            found: what each of them shows, in pixels of the original image.
            size: (height, width) of the original image.
        """
        has_whole = any(view.is_whole for view in views)
        kept = [
            each if view.is_whole else each[~self._is_cut(each.boxes, view, size, has_whole)]
            for view, each in zip(views, found, strict=True)
        ]
        candidates = Detections(*(torch.cat([getattr(each, name) for each in kept]) for name in ("boxes", "scores", "labels")))
        candidates = candidates[candidates.scores.argsort(descending=True, stable=True)]
        return self.nms(candidates, _num_views(candidates.boxes, views, size))[: self.max_detections]

    def _is_cut(self, boxes: Tensor, view: View, size: tuple[int, int], has_whole: bool) -> Tensor:
        """Return ``[D]`` bool: whether an inner edge of the tile cuts the box and something else shows it whole."""
        near = ~_is_inside(boxes, view, size)  # [D, 4]
        least = boxes.new_tensor([self.least_overlap[1], self.least_overlap[0]]) - 2 * _CUT_WITHIN
        is_small = (boxes[:, 2:] - boxes[:, :2]) < least
        return (near & (is_small.repeat(1, 2) | has_whole)).any(dim=1)


def _is_inside(boxes: Tensor, view: View, size: tuple[int, int]) -> Tensor:
    """Return ``[D, 4]`` bool: which edges of a box no inner edge of a view has cut; the image's border cuts nothing."""
    left, top, right, bottom = view.region
    lowest = [edge + _CUT_WITHIN if edge > 0 else -math.inf for edge in (left, top)]
    highest = [edge - _CUT_WITHIN if edge < length else math.inf for edge, length in ((right, size[1]), (bottom, size[0]))]
    return torch.cat([boxes[:, :2] >= boxes.new_tensor(lowest), boxes[:, 2:] <= boxes.new_tensor(highest)], dim=1)


def _num_views(boxes: Tensor, views: Sequence[View], size: tuple[int, int]) -> Tensor:
    """Return ``[D]``: how many views show a box completely; the whole image counts only for boxes that no tile does.

    What is small in the whole image, and may be too small there, is what tiles are for.
    """
    shows = torch.stack([_is_inside(boxes, view, size).all(dim=1) for view in views], dim=1)  # [D, V]
    is_whole = torch.tensor([view.is_whole for view in views], device=boxes.device)
    in_tiles = (shows & ~is_whole).sum(dim=1)
    return torch.where(in_tiles > 0, in_tiles, (shows & is_whole).sum(dim=1)).clamp(min=1)


def build_views(datasets: Mapping[str, Any], model: Any) -> tuple[Views | None, ViewMerger | None]:
    """Build what looks at an image several times and what merges it; nothing where once is all.

    Args:
        datasets: the section ``DATASETS``, of which ``TEST_TRANSFORMS`` and ``TEST_VIEWS`` are used.
        model: whose decoder says how many detections an image has at most.

    Raises:
        ConfigError: a transform cannot be built or undone, or the NMS not be built.
    """
    settings = {key.lower(): value for key, value in datasets["TEST_VIEWS"].items() if key != "MERGE"}
    views = Views(datasets["TEST_TRANSFORMS"], **settings)
    if views.is_plain:
        return None, None
    nms = NMS.build(datasets["TEST_VIEWS"]["MERGE"], "DATASETS.TEST_VIEWS.MERGE")
    of_one_look = getattr(getattr(model, "decoder", None), "nms", None)
    if getattr(nms, "averages_scores", False) and getattr(of_one_look, "keeps_overlaps", False):
        merge, own = type(nms).__name__, type(of_one_look).__name__
        raise ConfigError(
            f"DATASETS.TEST_VIEWS.MERGE: {merge} averages the scores of boxes that overlap, and {own} leaves an object many "
            f"boxes of low scores: all scores would be low. Merge by {own} or BatchedNMS (--merge), or take another NMS for "
            "one look."
        )
    return views, ViewMerger(nms, getattr(getattr(model, "decoder", None), "max_detections", 100), views.least_overlap)


def chosen_views(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``DATASETS.TEST_VIEWS`` with some of its keys changed.

    Raises:
        ConfigError: a key that it does not have, or a value that is not accepted.
    """
    datasets: Any = RUN_SCHEMA.keys["DATASETS"]
    problems = Problems()
    checked = Checker(problems).node(datasets.keys["TEST_VIEWS"], {**stored, **given}, "")
    if problems.rows:
        raise ConfigError("views of an image:\n" + "\n".join(f"  {key}: {what}" for key, what in problems.rows))
    return plain(checked)
