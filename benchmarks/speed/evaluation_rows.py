"""Rows of COCO evaluation: gathering detections, and from what was gathered to the numbers."""

from __future__ import annotations

import contextlib
import io
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.speed.timing import Row
from dettoolkit.distributed import shard_indices
from dettoolkit.evaluation import CocoEvaluator
from dettoolkit.evaluation.collector import Collected, Collector, merge
from dettoolkit.structures import Annotations, DatasetInfo, Detections, Sample

IMAGES = 5000
IMAGES_OF_PYCOCOTOOLS = 1000  # it takes 50 s for 5,000
DETECTIONS = 100
BATCH = 8
INFO = DatasetInfo("random", tuple(f"class {label}" for label in range(80)), tuple(range(1, 81)))
TWELVE = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


def coco_evaluation(device: torch.device) -> Iterator[Row]:
    """Yield the way from collected detections to the numbers, beside faster-coco-eval and pycocotools called directly.

    These get the ground truth and the results as dictionaries that are in memory already.
    """
    del device
    from faster_coco_eval import COCO as FasterCOCO
    from faster_coco_eval import COCOeval_faster
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    for count, name, library in (
        (IMAGES, "faster-coco-eval, directly", (FasterCOCO, COCOeval_faster)),
        (IMAGES_OF_PYCOCOTOOLS, "pycocotools, directly", (COCO, COCOeval)),
    ):
        evaluator = CocoEvaluator(INFO)
        samples, found = images(count)
        for start in range(0, count, BATCH):
            evaluator.update(samples[start : start + BATCH], found[start : start + BATCH])
        evaluator.compute()
        truth, results = coco_truth(samples), evaluator.to_coco_results()

        def ours(evaluator: CocoEvaluator = evaluator) -> list[float]:
            numbers = evaluator.compute()["bbox"]
            return [numbers[name] for name in TWELVE]

        def directly(truth: Any = truth, results: Any = results, library: Any = library) -> list[float]:
            return evaluate_directly(truth, results, *library)

        def difference(ours: Any = ours, directly: Any = directly) -> float:
            return float(np.abs(np.subtract(ours(), directly())).max())

        title = f"COCO evaluation, {count:,} images, {count * DETECTIONS:,} detections"
        yield Row(title, {"dettoolkit": ours, name: directly}, difference, 1e-12)


def gathering(device: torch.device) -> Iterator[Row]:
    """Yield collecting the detections of batches, with what brings them to the main process; nothing is evaluated."""
    samples, found = images(IMAGES)
    found = [each.to(device) for each in found]

    def collect(indices: Sequence[int]) -> Collector:
        collector = Collector(INFO.class_names)
        for start in range(0, len(indices), BATCH):
            batch = indices[start : start + BATCH]
            collector.add([samples[index] for index in batch], [found[index] for index in batch])
        return collector

    def one_process() -> Collected:
        return collect(range(IMAGES)).reduce(lambda collected: collected)

    def eight_processes() -> Collected:  # one after the other; between processes an object travels as its pickle
        pickles = [pickle.dumps(collect(list(shard_indices(IMAGES, rank, 8))).shard()) for rank in range(8)]
        return merge([pickle.loads(each) for each in pickles])

    def difference() -> float:
        return float((one_process().found != eight_processes().found).sum())

    title = f"gathering {IMAGES * DETECTIONS:,} detections of {IMAGES:,} images, batches of {BATCH}"
    yield Row(title, {"one process": one_process, "all the work of 8 processes": eight_processes}, difference)


def evaluate_directly(truth: dict[str, Any], results: list[dict[str, Any]], coco: Any, evaluate: Any) -> list[float]:
    """Return the twelve numbers by a library with pycocotools' interface."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground = coco()
        ground.dataset = truth
        ground.createIndex()
        evaluation = evaluate(ground, ground.loadRes([dict(row) for row in results]), "bbox")  # loadRes writes into the rows
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(number) for number in evaluation.stats[:12]]


def images(count: int) -> tuple[list[Sample], list[Detections]]:
    """Return samples with 7 objects and detections near them."""
    generator = torch.Generator().manual_seed(0)
    truth = [_truth(generator) for _ in range(count)]
    return [_sample(index, each) for index, each in enumerate(truth)], [_found(each, generator) for each in truth]


def coco_truth(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the ground truth as a COCO file holds it."""
    rows = [
        {
            "image_id": sample["image_id"],
            "category_id": label + 1,
            "bbox": [x, y, right - x, bottom - y],
            "area": area,
            "iscrowd": 0,
        }
        for sample in samples
        for (x, y, right, bottom), label, area in zip(
            sample["original"].boxes.tolist(),
            sample["original"].labels.tolist(),
            sample["original_areas"].tolist(),
            strict=True,
        )
    ]
    return {
        "info": {},
        "images": [{"id": sample["image_id"]} for sample in samples],
        "categories": [{"id": number, "name": name} for number, name in zip(INFO.category_ids, INFO.class_names, strict=True)],
        "annotations": [{"id": number, **row} for number, row in enumerate(rows, start=1)],
    }


def _truth(generator: torch.Generator) -> Annotations:
    low = torch.rand(7, 2, generator=generator) * 400
    boxes = torch.cat([low, low + 5 + torch.rand(7, 2, generator=generator) * 200], dim=1)
    return Annotations(boxes, torch.randint(80, (7,), generator=generator), torch.zeros(7, dtype=torch.bool))


def _found(truth: Annotations, generator: torch.Generator) -> Detections:
    which = torch.randint(7, (DETECTIONS,), generator=generator)
    boxes = truth.boxes[which] + torch.randn(DETECTIONS, 4, generator=generator) * 8
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    return Detections(boxes, torch.rand(DETECTIONS, generator=generator), truth.labels[which])


def _sample(index: int, truth: Annotations) -> Sample:
    areas = (truth.boxes[:, 2:] - truth.boxes[:, :2]).prod(1)
    return Sample(image_id=index, file_name=f"{index}.jpg", original_size=(640, 640), original=truth, original_areas=areas)
