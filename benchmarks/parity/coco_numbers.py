"""The twelve numbers of COCO, with pycocotools called directly on what the evaluator writes."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.parity.comparison import Comparison, absolute
from dettoolkit.evaluation import CocoEvaluator
from dettoolkit.structures import Annotations, DatasetInfo, Detections, Sample

TWELVE = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
INFO = DatasetInfo("random", ("cat", "dog", "bird"), (1, 2, 3))


def compare() -> Iterator[Comparison]:
    """Yield the largest difference of the twelve numbers on 100 random pictures with crowds."""
    generator = torch.Generator().manual_seed(0)
    truth = [_annotations(generator) for _ in range(100)]
    found = [_detections(annotations, generator) for annotations in truth]
    evaluator = CocoEvaluator(INFO)
    evaluator.update([_sample(index, annotations) for index, annotations in enumerate(truth)], found)
    ours = evaluator.compute()["bbox"]
    theirs = _pycocotools(truth, evaluator)
    difference = max(absolute(ours[name], theirs[name]) for name in TWELVE)
    yield Comparison("the twelve numbers of COCO", f"pycocotools {version('pycocotools')}", difference, 1e-12, "absolute")


def _annotations(generator: torch.Generator) -> Annotations:
    low = torch.rand(8, 2, generator=generator) * 300
    sides = 5 + torch.rand(8, 2, generator=generator) ** 2 * 250  # small, medium and large
    crowd = torch.rand(8, generator=generator) < 0.1
    return Annotations(torch.cat([low, low + sides], 1), torch.randint(3, (8,), generator=generator), crowd)


def _detections(annotations: Annotations, generator: torch.Generator) -> Detections:
    """Return the boxes shifted, some with another label, and as many that are anywhere."""
    moved = annotations.boxes + torch.randn(8, 4, generator=generator) * 4
    moved[:, 2:] = torch.maximum(moved[:, 2:], moved[:, :2] + 1)
    boxes = torch.cat([moved, _annotations(generator).boxes])
    guesses = torch.randint(3, (16,), generator=generator)
    labels = torch.where(torch.rand(16, generator=generator) < 0.8, torch.cat([annotations.labels, guesses[:8]]), guesses)
    return Detections(boxes, torch.rand(16, generator=generator), labels)


def _sample(index: int, annotations: Annotations) -> Sample:
    areas = (annotations.boxes[:, 2:] - annotations.boxes[:, :2]).prod(1)
    return Sample(
        image_id=index, file_name=f"{index}.png", original_size=(600, 600), original=annotations, original_areas=areas
    )


def _pycocotools(truth: list[Annotations], evaluator: CocoEvaluator) -> dict[str, float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    coco = COCO()
    coco.dataset = {
        "images": [{"id": index, "height": 600, "width": 600} for index in range(len(truth))],
        "categories": [{"id": key, "name": name} for key, name in zip(INFO.category_ids, INFO.class_names, strict=True)],
        "annotations": [],
    }
    rows: list[dict[str, Any]] = coco.dataset["annotations"]
    for index, objects in enumerate(truth):
        for box, label, crowd in zip(objects.boxes, objects.labels, objects.ignore, strict=True):
            x, y, right, bottom = box.tolist()
            bbox = [x, y, right - x, bottom - y]
            row = {"id": len(rows) + 1, "image_id": index, "category_id": INFO.category_ids[label], "bbox": bbox}
            rows.append(row | {"area": bbox[2] * bbox[3], "iscrowd": int(crowd)})
    with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
        coco.createIndex()
        evaluator.write_coco_results(Path(folder, "results.json"))
        evaluation = COCOeval(coco, coco.loadRes(str(Path(folder, "results.json"))), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(TWELVE, evaluation.stats.tolist(), strict=True))
