"""Average precision of parts of the objects: by size, shape, crowding and place in the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dettoolkit.evaluation.analysis.collecting import collect_images
from dettoolkit.evaluation.analysis.matching import box_overlaps
from dettoolkit.evaluation.coco_backend import Accumulated, Backend, Property, accumulate_by_property
from dettoolkit.evaluation.collector import Collected
from dettoolkit.structures import EvaluatedImage

COCO_SIZES = (("small", 0.0, 32.0**2), ("medium", 32.0**2, 96.0**2), ("large", 96.0**2, 1e10))
"""Name, lowest and highest area in square pixels; COCO counts what lies on a limit on both sides."""

SHAPES = (("very tall", 1 / 3), ("tall", 2 / 3), ("even", 3 / 2), ("wide", 3.0), ("very wide", np.inf))
"""Name, and below which width / height."""

CROWDING = (("alone", 0.0), ("touching", 0.2), ("crowded", np.inf))
"""Name, and up to which IoU with the neighbour that is overlapped most."""

BORDER = 2.0  # pixels: so near to the border of the picture a box touches it


@dataclass(frozen=True)
class Slice:
    """One part of the objects.

    Args:
        name: of the part.
        meaning: which objects are in it, in words.
        num_truth: objects in it that count.
        ap: mean over IoU 0.50 to 0.95 and classes; None without objects.
        ap50: the same at an IoU of 0.5.
        recall: highest recall at an IoU of 0.5, mean over classes; None without objects.
    """

    name: str
    meaning: str
    num_truth: int
    ap: float | None
    ap50: float | None
    recall: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def slice_precision(
    images: Sequence[EvaluatedImage], num_classes: int, max_detections: int = 100, backend: Backend = "faster_coco_eval"
) -> dict[str, tuple[Slice, ...]]:
    """Return AP by ``size``, ``relative size``, ``aspect ratio``, ``crowding`` and ``border``.

    As in COCO's area ranges, objects outside of a part are ignored: whoever finds one is neither right nor wrong, and a
    detection that finds nothing counts as wrong where its own box is in the part. For crowding the object that it overlaps most
    decides, and without one it is alone. Sizes are those of the boxes, also where the files have areas of masks.

    Args:
        images: I images.
        num_classes: K.
        max_detections: limit of detections an image and class.
        backend: the library that matches.
    """
    collected = collect_images(images)
    cuts = {name: cut(collected) for name, cut in _CUTS.items()}
    results = accumulate_by_property(collected, num_classes, max_detections, backend, [one.property for one in cuts.values()])
    return {name: _slices(cut, collected, result) for (name, cut), result in zip(cuts.items(), results, strict=True)}


@dataclass(frozen=True)
class _Cut:
    """How objects are told apart: name and meaning of each part."""

    property: Property
    parts: Sequence[tuple[str, str]]


def _slices(cut: _Cut, collected: Collected, result: Accumulated) -> tuple[Slice, ...]:
    values = cut.property.truth[~collected.truth["ignore"]]
    parts = []
    for number, ((name, meaning), (low, high)) in enumerate(zip(cut.parts, cut.property.ranges, strict=True)):
        precision, recall = result.precision[:, :, :, number, 0], result.recall[:, :, number, 0]
        count = int(((values >= low) & (values <= high)).sum())
        parts.append(Slice(name, meaning, count, _mean(precision), _mean(precision[0]), _mean(recall[0])))
    return tuple(parts)


def _mean(values: np.ndarray) -> float | None:
    present = values[values > -1]
    return float(present.mean()) if present.size else None


def _numbered(truth: np.ndarray, found: np.ndarray, parts: Sequence[tuple[str, str]]) -> _Cut:
    """Return a cut into parts that are numbered from 0, each box being in one."""
    ranges = [(float(number), float(number)) for number in range(len(parts))]
    return _Cut(Property(truth.astype(np.float64), found.astype(np.float64), ranges), parts)


def _by_size(collected: Collected) -> _Cut:
    truth, found = (_areas(rows["box"]) for rows in (collected.truth, collected.found))
    words = ("below 32 x 32 pixels", "from 32 x 32 to 96 x 96 pixels", "over 96 x 96 pixels")
    parts = [(name, meaning) for (name, *_), meaning in zip(COCO_SIZES, words, strict=True)]
    return _Cut(Property(truth, found, [(low, high) for _, low, high in COCO_SIZES]), parts)


def _by_relative_size(collected: Collected) -> _Cut:
    """Cut at the quartiles of the objects' share of their picture."""
    pixels = collected.image_sizes.prod(axis=1).astype(np.float64)
    truth, found = (_areas(rows["box"]) / pixels[rows["image"]] for rows in (collected.truth, collected.found))
    counted = truth[~collected.truth["ignore"]]
    limits = np.quantile(counted, (0.25, 0.5, 0.75)) if counted.size else np.zeros(3)
    names = ("smallest quarter", "second quarter", "third quarter", "largest quarter")
    shares = [f"{100 * limit:.3g} %" for limit in limits]
    words = [f"up to {shares[0]}", f"{shares[0]} to {shares[1]}", f"{shares[1]} to {shares[2]}", f"over {shares[2]}"]
    parts = [(name, f"{meaning} of the picture") for name, meaning in zip(names, words, strict=True)]
    return _numbered(np.searchsorted(limits, truth), np.searchsorted(limits, found), parts)


def _by_shape(collected: Collected) -> _Cut:
    limits = np.array([limit for _, limit in SHAPES[:-1]])
    numbers = [np.searchsorted(limits, _ratios(rows["box"]), side="right") for rows in (collected.truth, collected.found)]
    words = ("below 1:3", "1:3 to 2:3", "2:3 to 3:2", "3:2 to 3:1", "from 3:1 on")
    parts = [(name, f"width to height {meaning}") for (name, _), meaning in zip(SHAPES, words, strict=True)]
    return _numbered(numbers[0], numbers[1], parts)


def _by_crowding(collected: Collected) -> _Cut:
    truth, found = _crowding(collected)
    limits = np.array([limit for _, limit in CROWDING[:-1]])
    words = ("overlaps no other object", "overlaps another, by an IoU up to 0.2", "overlaps another by an IoU over 0.2")
    parts = [(name, meaning) for (name, _), meaning in zip(CROWDING, words, strict=True)]
    return _numbered(np.searchsorted(limits, truth), np.searchsorted(limits, found), parts)


def _crowding(collected: Collected) -> tuple[np.ndarray, np.ndarray]:
    """Return the IoU of each object with its nearest neighbour ``[G]``, and that of the object under each detection ``[D]``."""
    truth, found = (np.zeros(len(rows)) for rows in (collected.truth, collected.found))
    numbers = np.arange(len(collected.image_ids) + 1)
    bounds = [np.searchsorted(rows["image"], numbers) for rows in (collected.truth, collected.found)]
    for number in range(len(collected.image_ids)):
        own, others = (slice(limits[number], limits[number + 1]) for limits in bounds)
        rows = np.flatnonzero(~collected.truth["ignore"][own]) + own.start
        if len(rows) < 2:
            continue
        boxes, none = collected.truth["box"][rows].astype(np.float64), np.zeros(len(rows), dtype=bool)
        among = box_overlaps(boxes, boxes, none)
        np.fill_diagonal(among, 0.0)
        truth[rows] = among.max(axis=1)
        overlaps = box_overlaps(collected.found["box"][others].astype(np.float64), boxes, none)
        found[others] = np.where(overlaps.max(axis=1) > 0, truth[rows][overlaps.argmax(axis=1)], 0.0)
    return truth, found


def _by_border(collected: Collected) -> _Cut:
    sizes = collected.image_sizes[:, ::-1].astype(np.float64)
    touching = []
    for rows in (collected.truth, collected.found):
        low, high = rows["box"][:, :2], sizes[rows["image"]] - rows["box"][:, 2:]
        touching.append(np.concatenate([low, high], axis=1).min(axis=1, initial=np.inf) <= BORDER)
    parts = [("inside", "touches no border of the picture"), ("at the border", f"within {BORDER:g} pixels of a border")]
    return _numbered(touching[0], touching[1], parts)


def _areas(boxes: np.ndarray) -> np.ndarray:
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    return sides[:, 0] * sides[:, 1]


def _ratios(boxes: np.ndarray) -> np.ndarray:
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    return sides[:, 0] / np.maximum(sides[:, 1], np.finfo(np.float64).tiny)


_CUTS: dict[str, Callable[[Collected], _Cut]] = {
    "size": _by_size,
    "relative size": _by_relative_size,
    "aspect ratio": _by_shape,
    "crowding": _by_crowding,
    "border": _by_border,
}
