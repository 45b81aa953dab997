"""COCO's matching and accumulation, by faster-coco-eval or by pycocotools, from arrays to arrays."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np

from dettoolkit.evaluation.coco_results import to_xywh
from dettoolkit.evaluation.collector import Collected

logger = logging.getLogger(__name__)

Backend: TypeAlias = Literal["faster_coco_eval", "pycocotools"]

ALL, SMALL, MEDIUM, LARGE = range(4)
"""COCO's area ranges: any, under 32^2 pixels, between, over 96^2 pixels."""


@dataclass(frozen=True)
class Accumulated:
    """What COCO's evaluation leaves behind; -1 where a class has no ground truth in an area range.

    Axes: T = 10 IoU thresholds (0.50 to 0.95), R = 101 recalls (0 to 1), K classes, A = 4 area ranges, or as many as were asked
    for, M limits of detections.

    Args:
        precision: ``[T, R, K, A, M]``.
        recall: ``[T, K, A, M]``, the highest that is reached.
        scores: ``[T, R, K, A, M]``, the score threshold at which a recall is reached; 0 where none is.
    """

    precision: np.ndarray
    recall: np.ndarray
    scores: np.ndarray


def accumulate(collected: Collected, num_classes: int, max_detections: Sequence[int], backend: Backend) -> Accumulated:
    """Match detections to ground truth and accumulate precision over recall, as COCO does.

    Args:
        collected: of G ground-truth boxes and D detections; ignored boxes are crowds (``iscrowd``).
        num_classes: K.
        max_detections: M limits of detections an image and class, ascending.
        backend: the library that does it; both give the same numbers.
    """
    make_index, make_evaluation = _library(backend)
    with _quietly():
        truth = _indexed(make_index(), collected, num_classes, _truth_annotations(collected.truth))
        found = _indexed(make_index(), collected, num_classes, _found_annotations(collected.found))
        evaluation = make_evaluation(truth, found, iouType="bbox")
        return _accumulated(evaluation, num_classes, max_detections)


@dataclass(frozen=True)
class Property:
    """A number of each box that takes the place of the area in COCO's area ranges.

    Args:
        truth: ``[G]`` float64, of the ground-truth boxes.
        found: ``[D]`` float64, of the detections.
        ranges: (lowest, highest), both of them inside; what is outside is ignored as objects of another size are.
    """

    truth: np.ndarray
    found: np.ndarray
    ranges: Sequence[tuple[float, float]]


def accumulate_by_property(
    collected: Collected, num_classes: int, max_detections: int, backend: Backend, properties: Sequence[Property]
) -> list[Accumulated]:
    """Do the same for ranges of other numbers than the area; the A axis of each result has the ranges of its property.

    Args:
        collected: of G ground-truth boxes and D detections.
        num_classes: K.
        max_detections: limit of detections an image and class.
        backend: the library that does it.
        properties: what to look at, one after the other.
    """
    make_index, make_evaluation = _library(backend)
    results = []
    with _quietly():
        annotations = _truth_annotations(collected.truth), _found_annotations(collected.found)
        truth, found = (_indexed(make_index(), collected, num_classes, rows) for rows in annotations)
        for each in properties:
            for rows, values in zip(annotations, (each.truth, each.found), strict=True):
                for row, value in zip(rows, values.tolist(), strict=True):
                    row["area"] = value
            evaluation = make_evaluation(truth, found, iouType="bbox")
            evaluation.params.areaRng = [list(limits) for limits in each.ranges]
            evaluation.params.areaRngLbl = [str(number) for number in range(len(each.ranges))]
            results.append(_accumulated(evaluation, num_classes, [max_detections]))
    return results


def _accumulated(evaluation: Any, num_classes: int, max_detections: Sequence[int]) -> Accumulated:
    evaluation.params.maxDets = list(max_detections)
    evaluation.evaluate()
    evaluation.accumulate()
    params = evaluation.params
    shape = (len(params.iouThrs), len(params.recThrs), num_classes, len(params.areaRng), len(max_detections))
    arrays = {name: np.asarray(evaluation.eval[name], dtype=np.float64) for name in ("precision", "recall", "scores")}
    return Accumulated(
        arrays["precision"].reshape(shape),
        arrays["recall"].reshape(shape[0], *shape[2:]),
        arrays["scores"].reshape(shape),
    )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep pycocotools from printing its progress, and Python from looking through millions of dictionaries, again and again,
    for cycles that they do not have.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        if was_enabled:
            gc.enable()


def _library(backend: Backend) -> tuple[Any, Any]:
    if backend == "faster_coco_eval":
        from faster_coco_eval import COCO, COCOeval_faster

        return COCO, partial(COCOeval_faster, print_function=logger.debug)
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return COCO, COCOeval


def _indexed(coco: Any, collected: Collected, num_classes: int, annotations: list[dict[str, Any]]) -> Any:
    # Not loadRes, which fails for no detections. Ids count from 1: a matched id of 0 would read as "not matched".
    coco.dataset = {
        "images": [{"id": image + 1} for image in range(len(collected.image_ids))],
        "categories": [{"id": label + 1, "name": str(label)} for label in range(num_classes)],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _truth_annotations(truth: np.ndarray) -> list[dict[str, Any]]:
    annotations = _annotations(truth, truth["area"])
    for annotation, ignore in zip(annotations, truth["ignore"].tolist(), strict=True):
        annotation["iscrowd"] = int(ignore)
    return annotations


def _found_annotations(found: np.ndarray) -> list[dict[str, Any]]:
    annotations = _annotations(found, to_xywh(found["box"])[:, 2:].prod(axis=1))
    for annotation, score in zip(annotations, found["score"].tolist(), strict=True):
        annotation["score"] = score
    return annotations


def _annotations(rows: np.ndarray, areas: np.ndarray) -> list[dict[str, Any]]:
    images, labels = (rows["image"] + 1).tolist(), (rows["label"] + 1).tolist()
    columns = zip(images, labels, to_xywh(rows["box"]).tolist(), areas.tolist(), strict=True)
    return [
        {"id": number, "image_id": image, "category_id": label, "bbox": box, "area": area, "iscrowd": 0}
        for number, (image, label, box, area) in enumerate(columns, start=1)
    ]
