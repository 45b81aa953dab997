"""AP of parts of the objects: COCO's sizes as pycocotools has them, other parts where a person sees what is in them."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import torch

from dettoolkit.evaluation.analysis.average_precision import average_precisions
from dettoolkit.evaluation.analysis.collecting import collect_images, evaluated_images
from dettoolkit.evaluation.analysis.matching import match_detections
from dettoolkit.evaluation.analysis.slices import Slice, slice_precision
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

SIZE = (300, 400)  # height, width


def make(
    number: int, truth: np.ndarray, labels: np.ndarray, found: np.ndarray, kinds: np.ndarray, scores: np.ndarray, ignore=None
):
    order = np.argsort(-scores, kind="stable")
    boxes = [torch.from_numpy(array.astype(np.float32).reshape(-1, 4)) for array in (truth, found[order])]
    marks = torch.zeros(len(labels), dtype=torch.bool) if ignore is None else torch.from_numpy(ignore)
    annotations = Annotations(boxes[0], torch.from_numpy(labels.astype(np.int64)), marks)
    detections = Detections(boxes[1], torch.from_numpy(scores[order].astype(np.float32)), torch.from_numpy(kinds[order]))
    return EvaluatedImage(number, f"{number}.jpg", SIZE, annotations, detections)


def random_images(seed: int, sides: tuple[float, float], shape: float = 1.0, count: int = 20, first: int = 0):
    """Return images of objects with such sides, most of which are found, and detections where nothing is."""
    random = np.random.default_rng(seed)
    images = []
    for number in range(first, first + count):
        height = random.uniform(*sides, 8)
        corners = random.uniform(5, 100, (8, 2)) * [1.5, 1.0]
        truth = np.concatenate([corners, corners + np.stack([height * shape, height], axis=1)], axis=1)
        labels = random.integers(0, 2, 8)
        moved = truth + np.tile(random.normal(0, 1, corners.shape), 2) * (height[:, None] / 12)  # of the same shape
        found, kinds = np.concatenate([moved[:6], moved[:2] + 90]), np.append(labels[:6], [0, 1])
        images.append(make(number, truth, labels, found, kinds, random.random(8), random.random(8) < 0.1))
    return images


def pycocotools_stats(images: list[EvaluatedImage]) -> list[float]:
    """Return pycocotools' own summary; positions 3 to 5 have AP of small, medium and large."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(image: EvaluatedImage, part: Any, **columns: list) -> list[dict]:
        boxes = part.boxes.double().numpy()
        sides = boxes[:, 2:] - boxes[:, :2]
        return [
            {"image_id": image.image_id + 1, "category_id": label + 1, "bbox": [*box[:2], *side], "area": side[0] * side[1]}
            | {name: column[index] for name, column in columns.items()}
            for index, (label, box, side) in enumerate(zip(part.labels.tolist(), boxes.tolist(), sides.tolist(), strict=True))
        ]

    truth = [row for one in images for row in rows(one, one.ground_truth, iscrowd=one.ground_truth.ignore.int().tolist())]
    found = [row for one in images for row in rows(one, one.detections, score=one.detections.scores.tolist())]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": one.image_id + 1} for one in images],
            "categories": [{"id": 1}, {"id": 2}],
            "annotations": [{"id": number, **row} for number, row in enumerate(truth, 1)],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()


@pytest.mark.parametrize("backend", ["faster_coco_eval", "pycocotools"])
def test_sizes_are_those_of_pycocotools(backend: Any) -> None:
    images = random_images(0, (20, 130))
    expected = pycocotools_stats(images)[3:6]
    sizes = slice_precision(images, 2, backend=backend)["size"]
    assert [part.name for part in sizes] == ["small", "medium", "large"]
    assert [part.ap for part in sizes] == pytest.approx(expected, abs=1e-12)
    assert len(set(expected)) == 3


def part(images: list[EvaluatedImage], cut: str, name: str) -> Slice:
    return next(one for one in slice_precision(images, 2)[cut] if one.name == name)


@pytest.mark.parametrize("backend", ["faster_coco_eval", "pycocotools"])
def test_of_images_that_hold_one_part_alone_the_ap_is_that_of_the_part(backend: Any) -> None:
    """An independent matcher on those images alone says what AP the part has."""
    tall, wide = random_images(1, (30, 60), shape=0.5), random_images(2, (20, 40), shape=2.0, first=20)
    shapes = {one.name: one for one in slice_precision([*tall, *wide], 2, backend=backend)["aspect ratio"]}
    for name, images in (("tall", tall), ("wide", wide)):
        aps = average_precisions(match_detections(images, 2))
        assert shapes[name].ap == pytest.approx(np.nanmean(aps))
        assert shapes[name].ap50 == pytest.approx(np.nanmean(aps[0]))
        assert shapes[name].num_truth == sum(int((~image.ground_truth.ignore).sum()) for image in images)
    assert (shapes["even"].num_truth, shapes["even"].ap, shapes["even"].recall) == (0, None, None)


def test_crowding_as_a_person_sees_it() -> None:
    """Two objects that overlap by an IoU of 1/3, of which one is found; and one alone, which is found."""
    truth = np.array([[50, 50, 90, 90], [70, 50, 110, 90], [200, 200, 240, 240.0]])
    found = np.array([truth[0], truth[2], [52, 50, 60, 90], [300, 100, 320, 120]])
    image = make(0, truth, np.zeros(3), found, np.zeros(4, np.int64), np.array([0.9, 0.8, 0.95, 0.85]))
    crowding = {one.name: one for one in slice_precision([image], 1)["crowding"]}
    assert {name: one.num_truth for name, one in crowding.items()} == {"alone": 1, "touching": 0, "crowded": 2}
    # crowded: the strip of 0.95 on the first object is wrong, then one of two is found: recall 1/2 at a precision of 1/2
    assert crowding["crowded"].ap50 == pytest.approx(51 / 101 / 2)
    assert crowding["crowded"].recall == 0.5
    # alone: what is nowhere comes first, then the object: recall 1 at a precision of 1/2
    assert crowding["alone"].ap50 == pytest.approx(1 / 2)


def test_at_the_border_is_within_two_pixels_of_it() -> None:
    height, width = SIZE
    truth = np.array(
        [[2, 50, 40, 90], [2.5, 100, 40, 140], [300, 100, width - 1, 150], [100, 200, 140, height], [50, 2, 90, 40.0]]
    )
    image = make(0, truth, np.zeros(5), truth[:3], np.zeros(3, np.int64), np.array([0.9, 0.8, 0.7]))
    inside, border = slice_precision([image], 1)["border"]
    assert (inside.num_truth, inside.ap50) == (1, pytest.approx(1))
    assert (border.num_truth, border.recall) == (4, pytest.approx(2 / 4))
    assert border.meaning == "within 2 pixels of a border"


def test_quarters_of_relative_size_hold_a_quarter_each() -> None:
    images = random_images(3, (20, 130))
    quarters = slice_precision(images, 2)["relative size"]
    counts = [one.num_truth for one in quarters]
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == sum(int((~image.ground_truth.ignore).sum()) for image in images)


def test_without_images_or_objects_there_is_no_ap() -> None:
    nothing = np.zeros((0, 4))
    empty = make(0, nothing, np.zeros(0), nothing, np.zeros(0, np.int64), np.zeros(0))
    for cut in slice_precision([empty], 2).values():
        assert all(one.ap is None and one.num_truth == 0 for one in cut)
        assert all(isinstance(one.to_dict()["meaning"], str) for one in cut)


def test_collecting_and_back() -> None:
    images = random_images(4, (20, 130), count=3)
    back = evaluated_images(collect_images(images), lambda image_id: f"{image_id}.jpg")
    for one, other in zip(images, back, strict=True):
        assert (one.image_id, one.file_name, one.size) == (other.image_id, other.file_name, other.size)
        assert torch.equal(one.ground_truth.boxes, other.ground_truth.boxes)
        assert torch.equal(one.ground_truth.labels, other.ground_truth.labels)
        assert torch.equal(one.ground_truth.ignore, other.ground_truth.ignore)
        for name in ("boxes", "scores", "labels"):
            assert torch.equal(getattr(one.detections, name), getattr(other.detections, name))
