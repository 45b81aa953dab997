"""Suspected label errors: mistakes are planted into labels that a good detector agrees with, and must come first."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dettoolkit.evaluation.analysis.label_suspects import find_label_suspects
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

NAMES = ("cat", "dog", "hen")


def truth_of(boxes: list, labels: list[int], ignore: tuple[int, ...] = ()) -> Annotations:
    marks = torch.tensor([index in ignore for index in range(len(labels))], dtype=torch.bool)
    return Annotations(torch.tensor(boxes).reshape(-1, 4), torch.tensor(labels, dtype=torch.int64), marks)


def image(truth: Annotations, found: list[tuple]) -> EvaluatedImage:
    found = sorted(found, key=lambda row: -row[2])
    detections = Detections(
        torch.tensor([row[0] for row in found]).reshape(-1, 4),
        torch.tensor([row[2] for row in found]),
        torch.tensor([row[1] for row in found], dtype=torch.int64),
    )
    return EvaluatedImage(7, "a.jpg", (400, 400), truth, detections)


def good_detector(num_images: int = 40, seed: int = 0) -> list[EvaluatedImage]:
    """Return images on a grid of objects, all found well with scores of 0.6 to 0.99, and weak detections where nothing is."""
    random = np.random.default_rng(seed)
    images = []
    for number in range(num_images):
        corners = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(-1, 2) * 100.0 + random.uniform(0, 20, (16, 2))
        boxes = np.concatenate([corners, corners + random.uniform(40, 70, (16, 2))], axis=1)
        labels = random.integers(0, 3, 16)
        objects, empty = boxes[:10], boxes[10:]
        found = [
            ((box + random.normal(0, 1, 4)).tolist(), int(label), score)
            for box, label, score in zip(objects, labels, random.uniform(0.6, 0.99, 10).tolist(), strict=False)
        ]
        found += [(box.tolist(), 0, score) for box, score in zip(empty, random.uniform(0.05, 0.45, 6).tolist(), strict=True)]
        truth = truth_of(objects.tolist(), labels[:10].tolist())
        images.append(replace(image(truth, found), image_id=number, file_name=f"{number}.jpg"))
    return images


def without(truth: Annotations, index: int) -> Annotations:
    kept = torch.arange(len(truth)) != index
    return Annotations(truth.boxes[kept], truth.labels[kept], truth.ignore[kept])


def test_ten_boxes_that_are_taken_away_come_first() -> None:
    images = good_detector()
    taken = {number * 3: images[number * 3].ground_truth.boxes[number % 10] for number in range(10)}
    for number, box in taken.items():
        index = int((images[number].ground_truth.boxes == box).all(dim=1).nonzero())
        images[number] = replace(images[number], ground_truth=without(images[number].ground_truth, index))
    suspects = find_label_suspects(images, NAMES)
    assert {suspect.image for suspect in suspects[:10]} == set(taken)
    for suspect in suspects[:10]:
        assert suspect.kind == "not-annotated"
        assert (suspect.truth, suspect.annotated) == (-1, None)
        assert torch.tensor(suspect.box).sub(taken[suspect.image]).abs().max() < 6  # the detector is that exact
    assert len(suspects) == 10  # on labels without a mistake it suspects nothing


def test_wrong_classes_and_invented_boxes_come_first_too() -> None:
    images = good_detector()
    for number in range(5):
        truth = images[number].ground_truth
        truth.labels[2] = (truth.labels[2] + 1) % 3
    for number in range(5, 10):
        truth = images[number].ground_truth
        invented = truth_of([[381.0, 381.0, 399.0, 399.0]], [1])
        parts = [torch.cat([getattr(one, name) for one in (truth, invented)]) for name in ("boxes", "labels", "ignore")]
        images[number] = replace(images[number], ground_truth=Annotations(*parts))
    suspects = find_label_suspects(images, NAMES)
    assert sorted((suspect.image, suspect.kind, suspect.truth) for suspect in suspects) == [
        *((number, "other-class", 2) for number in range(5)),
        *((number, "not-supported", 10) for number in range(5, 10)),
    ]
    losses = [suspect.loss for suspect in suspects]
    assert losses == sorted(losses, reverse=True)


BOX = [0.0, 0.0, 100.0, 100.0]
ELSEWHERE = [200.0, 200.0, 300.0, 300.0]


def test_losses_are_cross_entropies_and_reasons_are_words() -> None:
    (suspect,) = find_label_suspects([image(truth_of([], []), [(BOX, 1, 0.9)])], NAMES)
    assert suspect.loss == pytest.approx(-np.log(0.1), rel=1e-5)
    assert suspect.reason == "dog with a score of 0.90, where nothing is annotated"
    (suspect,) = find_label_suspects([image(truth_of([BOX], [0]), [(BOX, 1, 0.8), (BOX, 0, 0.2)])], NAMES)
    assert suspect.loss == pytest.approx(-np.log(0.2) - np.log(0.2), rel=1e-5)
    assert suspect.reason == (
        "annotated as cat, found as dog with a score of 0.80, which the best detection of it supports by 0.20 alone"
    )
    (suspect,) = find_label_suspects([image(truth_of([BOX], [2]), [(BOX, 2, 0.06)])], NAMES)
    assert (suspect.kind, suspect.loss) == ("not-supported", pytest.approx(-np.log(0.06), rel=1e-5))
    (suspect,) = find_label_suspects([image(truth_of([BOX], [2]), [])], NAMES)
    assert (suspect.score, suspect.loss) == (0, pytest.approx(-np.log(0.05)))
    assert suspect.reason == "annotated as hen, which no detection finds"
    assert suspect.box == tuple(BOX)


def test_what_is_no_suspect() -> None:
    assert find_label_suspects([image(truth_of([BOX], [0]), [(BOX, 0, 0.3), (ELSEWHERE, 0, 0.49)])], NAMES) == []
    assert find_label_suspects([image(truth_of([BOX], [0], ignore=(0,)), [(BOX, 1, 0.9)])], NAMES) == []  # inside a crowd
    # the class that is annotated has the higher score
    assert find_label_suspects([image(truth_of([BOX], [0]), [(BOX, 1, 0.8), (BOX, 0, 0.9)])], NAMES) == []
    assert find_label_suspects([image(truth_of([], []), [])], NAMES) == []


def test_one_place_is_told_once_and_the_list_ends_where_asked() -> None:
    found = [(BOX, 0, 0.9), (BOX, 1, 0.95), (ELSEWHERE, 2, 0.6)]
    suspects = find_label_suspects([image(truth_of([], []), found)], NAMES)
    assert [(suspect.found, round(suspect.score, 2)) for suspect in suspects] == [("dog", 0.95), ("hen", 0.6)]
    assert find_label_suspects([image(truth_of([], []), found)], NAMES, limit=1) == suspects[:1]
    assert suspects[0].to_dict()["file_name"] == "a.jpg"


def labelling(folder: Path, name: str) -> dict[str, tuple[list[list[float]], list[str]]]:
    """Return boxes and class names by the SHA-256 of the picture's bytes, from all COCO files of a set of blood cells."""
    found: dict[str, tuple[list[list[float]], list[str]]] = {}
    for file in sorted((folder / name / "annotations").glob("*.json")):
        data = json.loads(file.read_text(encoding="utf-8"))
        classes = {category["id"]: category["name"] for category in data["categories"]}
        by_id = {}
        for picture in data["images"]:
            path = folder / name / "images" / picture["file_name"]
            by_id[picture["id"]] = found.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), ([], []))
        for row in data["annotations"]:
            x, y, width, height = row["bbox"]
            by_id[row["image_id"]][0].append([x, y, x + width, y + height])
            by_id[row["image_id"]][1].append(classes[row["category_id"]])
    return found


def test_red_cells_that_one_labelling_of_real_pictures_lacks_are_found(real_data: Path) -> None:
    """Two labellings of 221 pictures of blood cells: the first has 2,431 red cells, the second 5,130, of which 2,385 agree (IoU
    of 0.5 or more, counted by whoever compared them). So up to 2,745 cells are missing in the first, less those near to others.
    """
    first, second = labelling(real_data, "bccd"), labelling(real_data, "txl_pbc")
    names = ("WBC", "RBC", "Platelets")
    images = []
    for digest in sorted(first.keys() & second.keys()):
        boxes, classes = first[digest]
        truth = truth_of(boxes, [names.index(name) for name in classes])
        rows = zip(*second[digest], strict=True)
        found = [(box, names.index(name), 0.9) for box, name in rows]
        images.append(replace(image(truth, found), file_name=digest, size=(480, 640)))
    assert len(images) == 221
    suspects = find_label_suspects(images, names, limit=None)
    missing = [suspect for suspect in suspects if (suspect.kind, suspect.found) == ("not-annotated", "RBC")]
    assert 2000 < len(missing) <= 5130 - 2385
    assert len({suspect.image for suspect in missing}) == 221
