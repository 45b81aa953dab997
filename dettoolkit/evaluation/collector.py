"""Collector: what evaluators remember of the images, in compact arrays, and how all processes bring theirs together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from dettoolkit.distributed import broadcast_object, gather_objects, sum_over_processes
from dettoolkit.errors import EvaluationError, listed
from dettoolkit.structures import Detections, Sample

T = TypeVar("T")

TRUTH = np.dtype([("image", "i8"), ("box", "f4", 4), ("label", "i4"), ("ignore", "?"), ("area", "f8")])
FOUND = np.dtype([("image", "i8"), ("box", "f4", 4), ("label", "i4"), ("score", "f4")])


@dataclass(frozen=True)
class Collected:
    """The ground truth and the detections of N images, in the pixels of the original images.

    Args:
        image_ids: N ids, no two equal; sorted once the processes are merged.
        image_sizes: ``[N, 2]`` int64, (height, width).
        truth: ``[G]`` rows of ``image`` (index into ``image_ids``), ``box`` (xyxy), ``label``, ``ignore``, ``area``; by image.
        found: ``[D]`` rows of ``image``, ``box``, ``label``, ``score``; by image, in the detector's order within one.
    """

    image_ids: list[int | str]
    image_sizes: np.ndarray
    truth: np.ndarray
    found: np.ndarray


class Collector:
    """Keeps the ground truth and the detections of this process's images; an image that comes again is not counted again.

    Args:
        class_names: K names; labels must be 0..K-1.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self._sizes: dict[int | str, tuple[int, int]] = {}
        self._truth: list[np.ndarray] = [np.empty(0, TRUTH)]
        self._found: list[np.ndarray] = [np.empty(0, FOUND)]

    def add(self, samples: Sequence[Sample], detections: Sequence[Detections]) -> None:
        """Take some images.

        Args:
            samples: N samples with ``image_id``, ``original_size`` and ``original``; without ``original_areas`` the area of
                an object is that of its box.
            detections: N detections in the pixels of the original images, all of them on one device, whichever it is.

        Raises:
            EvaluationError: the lists do not go together, a sample has no ground truth, a label is not 0..K-1, or a number
                is not finite.
        """
        if len(samples) != len(detections):
            raise EvaluationError(f"expected the detections of each image, got {len(samples)} images and {len(detections)}")
        for sample, found in zip(samples, _fetched(detections), strict=True):
            if sample["image_id"] in self._sizes:
                continue
            truth_rows = _truth_rows(sample, image=len(self._sizes))
            found_rows = _rows(FOUND, len(self._sizes), box=found.boxes, label=found.labels, score=found.scores)
            self._check("annotations", sample["image_id"], truth_rows)
            self._check("detections", sample["image_id"], found_rows)
            height, width = sample["original_size"]
            self._sizes[sample["image_id"]] = (int(height), int(width))
            self._truth.append(truth_rows)
            self._found.append(found_rows)

    def _check(self, kind: str, image_id: int | str, rows: np.ndarray) -> None:
        outside = rows["label"][(rows["label"] < 0) | (rows["label"] >= len(self.class_names))]
        if outside.size:
            raise EvaluationError(
                f"image {image_id!r}: label {outside[0]} among its {kind}; accepted: 0..{len(self.class_names) - 1} "
                f"({listed(self.class_names, limit=10)})"
            )
        if not all(np.isfinite(rows[name]).all() for name in ("box", "score", "area") if name in (rows.dtype.names or ())):
            raise EvaluationError(f"image {image_id!r}: a number among its {kind} is not finite")

    def reduce(self, function: Callable[[Collected], T]) -> T:
        """Return what ``function`` makes of the images of all processes; it runs on the main process only.

        All processes must call it together, and get the same answer.

        Raises:
            EvaluationError: no process has seen an image.
        """
        if int(sum_over_processes(torch.tensor(len(self._sizes)))) == 0:
            raise EvaluationError("nothing to evaluate: no image came since the last reset()")
        shards = gather_objects(self.shard())
        return broadcast_object(None if shards is None else function(merge(shards)))

    def shard(self) -> Collected:
        """Return the images of this process, in the order in which they came."""
        sizes = np.array(list(self._sizes.values()), dtype=np.int64).reshape(-1, 2)
        return Collected(list(self._sizes), sizes, np.concatenate(self._truth), np.concatenate(self._found))


def merge(shards: Sequence[Collected]) -> Collected:
    """Return the images of all shards, sorted by id, so that how they were shared out leaves no trace.

    An image that several shards hold (padding that made them equally long) is taken from the first of them.
    """
    image_ids = sorted({image_id for shard in shards for image_id in shard.image_ids}, key=lambda id: (isinstance(id, str), id))
    position = {image_id: index for index, image_id in enumerate(image_ids)}
    sizes = np.zeros((len(image_ids), 2), dtype=np.int64)
    truth, found = [], []
    taken: set[int | str] = set()
    for shard in shards:
        target = np.array([-1 if image_id in taken else position[image_id] for image_id in shard.image_ids], dtype=np.int64)
        taken.update(shard.image_ids)
        sizes[target[target >= 0]] = shard.image_sizes[target >= 0]
        truth.append(_moved(shard.truth, target))
        found.append(_moved(shard.found, target))
    return Collected(image_ids, sizes, _by_image(np.concatenate(truth)), _by_image(np.concatenate(found)))


def _moved(rows: np.ndarray, target: np.ndarray) -> np.ndarray:
    moved = rows.copy()
    moved["image"] = target[rows["image"]]
    return moved[moved["image"] >= 0]


def _by_image(rows: np.ndarray) -> np.ndarray:
    return rows[np.argsort(rows["image"], kind="stable")]  # the order within an image decides between equal scores


def _fetched(detections: Sequence[Detections]) -> list[Detections]:
    """Return the same detections on the CPU, in three transfers: each waits until the device has done its work."""
    if not detections:
        return []
    counts = [len(found) for found in detections]
    boxes, scores, labels = (
        torch.cat([getattr(found, name).detach() for found in detections]).cpu().split(counts)
        for name in ("boxes", "scores", "labels")
    )
    return [Detections(*columns) for columns in zip(boxes, scores, labels, strict=True)]


def _truth_rows(sample: Sample, image: int) -> np.ndarray:
    if "original" not in sample:
        raise EvaluationError(
            f"image {sample['image_id']!r} has no ground truth: expected 'original' in the sample (test pipelines set it), "
            f"got {listed(sample)}"
        )
    original, areas = sample["original"], sample.get("original_areas")
    if areas is None:
        sides = (original.boxes[:, 2:] - original.boxes[:, :2]).double()
        areas = sides.prod(dim=1)
    return _rows(TRUTH, image, box=original.boxes, label=original.labels, ignore=original.ignore, area=areas)


def _rows(dtype: np.dtype, image: int, **columns: Tensor) -> np.ndarray:
    rows = np.empty(len(columns["box"]), dtype)
    rows["image"] = image
    for name, column in columns.items():
        rows[name] = column.detach().cpu().double().numpy()  # double: numpy knows no bfloat16
    return rows
