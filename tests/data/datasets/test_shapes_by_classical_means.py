"""Thresholds, connected components and size do not solve ``shapes``; where nothing is hidden or textured, they do."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import numpy as np

from dettoolkit.data.datasets.shapes import ShapesDataset
from dettoolkit.data.datasets.shapes_forms import CLASSES, Dice, draw_mask

NAMES = list(CLASSES)
# of each compact form: the share that it fills of the smallest rectangle around it, in any direction
FILLS = {"disc": 0.785, "square": 1.0, "triangle": 0.5}
# of the others: the share that they fill of their convex hull; crosses 1.92 / 2.765, stars 1.1226 / 2.378
SOLIDITIES = {"cross": 0.69, "star": 0.47}

Found = tuple[list[float], int, float]  # box xyxy, label, score


def _class_of(component: np.ndarray) -> int | None:
    """Guess the class of ``[h, w]`` uint8 from holes, solidity and fill; None for what resembles no class."""
    import cv2

    contours, hierarchy = cv2.findContours(np.pad(component, 1), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    outer = max(contours, key=cv2.contourArea)
    area, hull = cv2.contourArea(outer), cv2.contourArea(cv2.convexHull(outer))
    if area < 40:
        return None
    holes = [cv2.contourArea(contour) for contour, links in zip(contours, hierarchy[0], strict=True) if links[3] >= 0]
    if max(holes, default=0) > 0.12 * area and area > 0.85 * hull:
        return NAMES.index("ring")
    if area > 0.85 * hull:
        corners = len(cv2.approxPolyDP(outer, 0.04 * cv2.arcLength(outer, True), True))
        if corners <= 4:
            return NAMES.index("triangle" if corners <= 3 else "square")
        (_, (width, height), _) = cv2.minAreaRect(outer)
        return NAMES.index(min(FILLS, key=lambda name: abs(FILLS[name] - area / (width * height))))
    return NAMES.index(min(SOLIDITIES, key=lambda name: abs(SOLIDITIES[name] - area / hull)))


def _components(image: np.ndarray) -> Iterator[tuple[list[float], int]]:
    """Threshold ten channels at Otsu's value and four quantiles, both ways; yield box and class of each component."""
    import cv2

    smooth = cv2.medianBlur(image, 5)
    spaces = (cv2.COLOR_RGB2GRAY, cv2.COLOR_RGB2HSV, cv2.COLOR_RGB2LAB)
    for channel in (*cv2.split(smooth), *(plane for space in spaces for plane in cv2.split(cv2.cvtColor(smooth, space)))):
        otsu = cv2.threshold(channel, 0, 255, cv2.THRESH_OTSU)[0]
        for threshold in {otsu, *np.quantile(channel, (0.2, 0.4, 0.6, 0.8))}:
            bright = (channel > threshold).astype(np.uint8)
            for binary in (bright, 1 - bright):
                count, numbers, stats, _ = cv2.connectedComponentsWithStats(binary, connectivity=4)
                for number in range(1, count):
                    x, y, width, height, area = stats[number].tolist()
                    if min(width, height) < 12 or max(width, height) > 192 or area < 0.15 * width * height:
                        continue
                    label = _class_of((numbers[y : y + height, x : x + width] == number).astype(np.uint8))
                    if label is not None:
                        yield [x, y, x + width, y + height], label


def _detect(image: np.ndarray) -> list[Found]:
    """Merge the components that overlap; the score is how many thresholds found the same thing."""
    found = list(_components(image))
    if not found:
        return []
    boxes, labels = np.array([box for box, _ in found], np.float64), np.array([label for _, label in found])
    low, high = np.maximum(boxes[:, None, :2], boxes[:, :2]), np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = (high - low).clip(0).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    same = shared / (areas[:, None] + areas - shared) > 0.7
    votes = (same & (labels[:, None] == labels)).sum(axis=1)
    detections, taken = [], np.zeros(len(found), np.bool_)
    for index in votes.argsort(kind="stable")[::-1]:
        if not taken[index]:
            taken |= same[index]
            detections.append((boxes[index].tolist(), int(labels[index]), float(votes[index])))
    return detections


def _coco_box(box: list[float]) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def _ap50(truth: list[list[tuple[list[float], int]]], detections: list[list[Found]]) -> float:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    objects = [(image, box, label) for image, rows in enumerate(truth) for box, label in rows]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": image} for image in range(len(truth))],
            "categories": [{"id": label, "name": name} for label, name in enumerate(NAMES)],
            "annotations": [
                {"id": number, "image_id": image, "bbox": _coco_box(box), "category_id": label, "area": 1.0, "iscrowd": 0}
                for number, (image, box, label) in enumerate(objects, start=1)
            ],
        }
        coco.createIndex()
        results = [
            {"image_id": image, "bbox": _coco_box(box), "category_id": label, "score": score}
            for image, rows in enumerate(detections)
            for box, label, score in rows
        ]
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[1])


def _plain_picture(dice: Dice) -> tuple[np.ndarray, list[tuple[list[float], int]]]:
    """Return a white picture with nine dark forms that do not touch, and their boxes and labels."""
    image, truth = np.full((256, 256, 3), 255, np.uint8), []
    for cell in range(9):
        label = dice.below(6)
        mask = draw_mask(CLASSES[NAMES[label]], dice.between(40, 76), dice.direction(), dice.between(90, 128) / 128)
        x, y, (height, width) = 4 + cell % 3 * 84, 4 + cell // 3 * 84, mask.shape
        image[y : y + height, x : x + width][mask] = [dice.below(150) for _ in range(3)]
        truth.append(([x, y, x + width, y + height], label))
    return image, truth


def test_thresholds_and_components_find_plain_forms() -> None:
    pictures = [_plain_picture(Dice(picture)) for picture in range(8)]
    ap50 = _ap50([truth for _, truth in pictures], [_detect(image) for image, _ in pictures])
    assert ap50 > 0.8  # the method is an honest one


def test_thresholds_and_components_do_not_solve_shapes() -> None:
    dataset = ShapesDataset("val", num_images=40)
    truth = [list(zip(record.boxes.tolist(), record.labels.tolist(), strict=True)) for record in dataset.records]
    detections = [_detect(np.ascontiguousarray(dataset[index]["image"].numpy().transpose(1, 2, 0))) for index in range(40)]
    ap50 = _ap50(truth, detections)
    assert 0.005 < ap50 < 0.2
