"""What several views of an image show, made one list of detections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from dettoolkit.data.views import View, Views
from dettoolkit.registry import NMS
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

    def images(self, seen: Iterable[tuple[Sample, Detections]]) -> Iterator[tuple[Sample, Detections]]:
        """Yield each image's sample and detections as soon as all of its views are there.

        Args:
            seen: samples with ``view``, ``num_views`` and ``original_size`` in the order of the views, each with what was found
                in it, in pixels of the original image; those of one image follow each other.
        """
        samples: list[Sample] = []
        found: list[Detections] = []
        for sample, detections in seen:
            samples.append(sample)
            found.append(detections)
            if len(samples) == sample["num_views"]:
                yield samples[0], self([each["view"] for each in samples], found, sample["original_size"])
                samples, found = [], []

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
        return self.nms(candidates, _num_views(candidates.boxes, views))[: self.max_detections]

    def _is_cut(self, boxes: Tensor, view: View, size: tuple[int, int], has_whole: bool) -> Tensor:
        """Return ``[D]`` bool: whether an inner edge of the tile cuts the box and something else shows it whole."""
        left, top, right, bottom = view.region
        height, width = size
        near = torch.stack(
            [
                (boxes[:, 0] < left + _CUT_WITHIN) & (left > 0),
                (boxes[:, 1] < top + _CUT_WITHIN) & (top > 0),
                (boxes[:, 2] > right - _CUT_WITHIN) & (right < width),
                (boxes[:, 3] > bottom - _CUT_WITHIN) & (bottom < height),
            ],
            dim=1,
        )
        small = (boxes[:, 2:] - boxes[:, :2]) < boxes.new_tensor(
            [self.least_overlap[1], self.least_overlap[0]]
        ) - 2 * _CUT_WITHIN
        shown_whole = small.repeat(1, 2) | has_whole
        return (near & shown_whole).any(dim=1)


def _num_views(boxes: Tensor, views: Sequence[View]) -> Tensor:
    """Return ``[D]``: how many views show a box completely; the whole image counts only for boxes that no tile does.

    What is small in the whole image, and may be too small there, is what tiles are for.
    """
    regions = boxes.new_tensor([view.region for view in views])
    is_whole = torch.tensor([view.is_whole for view in views], device=boxes.device)
    inside = (boxes[:, None, :2] >= regions[:, :2] - _CUT_WITHIN) & (boxes[:, None, 2:] <= regions[:, 2:] + _CUT_WITHIN)
    shows = inside.all(dim=2)  # [D, V]
    in_tiles = (shows & ~is_whole).sum(dim=1)
    return torch.where(in_tiles > 0, in_tiles, (shows & is_whole).sum(dim=1)).clamp(min=1)


def build_views(
    transform_nodes: Sequence[Mapping[str, Any]], node: Mapping[str, Any], max_detections: int
) -> tuple[Views, ViewMerger] | None:
    """Build what looks at an image several times and what merges it; None where once is all.

    Args:
        transform_nodes: config nodes of ``DATASETS.TEST_TRANSFORMS``.
        node: ``DATASETS.TEST_VIEWS``.
        max_detections: of an image.

    Raises:
        ConfigError: a transform cannot be built or undone, or the NMS not be built.
    """
    settings = {key.lower(): value for key, value in node.items() if key != "MERGE"}
    views = Views(transform_nodes, **settings)
    if views.is_plain:
        return None
    nms = NMS.build(node["MERGE"], "DATASETS.TEST_VIEWS.MERGE")
    return views, ViewMerger(nms, max_detections, views.least_overlap)
