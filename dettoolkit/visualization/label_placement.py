"""Where labels stand: inside the picture, at their boxes, and on each other as little as can be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom are outside
_OVERLAP_WITH_BOX = 0.02  # what hiding a pixel of another box costs, when hiding a pixel of another label costs 1


def place_labels(boxes: np.ndarray, label_sizes: Sequence[tuple[int, int]], picture_size: tuple[int, int]) -> list[Rectangle]:
    """Return a rectangle for the label of each box; the first boxes choose first.

    Each label tries the places around the corners of its box, moved into the picture, and takes the first of those that
    hide least of the labels before it.

    Args:
        boxes: ``[D, 4]`` xyxy pixels.
        label_sizes: D pairs (height, width), none larger than the picture.
        picture_size: (height, width).
    """
    placed = np.zeros((0, 4))
    for index, (box, (height, width)) in enumerate(zip(boxes, label_sizes, strict=True)):
        candidates = _candidates(box, height, width, picture_size)
        others = np.delete(boxes, index, axis=0)
        cost = _overlap(candidates, placed) + _OVERLAP_WITH_BOX * _overlap(candidates, others)
        placed = np.vstack([placed, candidates[int(cost.argmin())]])
    return [(int(left), int(top), int(right), int(bottom)) for left, top, right, bottom in placed]


def _candidates(box: np.ndarray, height: int, width: int, picture_size: tuple[int, int]) -> np.ndarray:
    """Return ``[8, 4]`` rectangles: above, inside and below the box at its left and right side, the usual place first."""
    left, top, right, bottom = box.round()
    corners = [
        (left, top - height),
        (right - width, top - height),
        (left, bottom),
        (right - width, bottom),
        (left, top),
        (right - width, top),
        (left, bottom - height),
        (right - width, bottom - height),
    ]
    limit = (picture_size[1] - width, picture_size[0] - height)
    corner = np.clip(np.array(corners), 0, limit)
    return np.hstack([corner, corner + np.array([width, height])])


def _overlap(rectangles: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return ``[P]``: the area of each of ``[P, 4]`` rectangles that ``[Q, 4]`` others cover, counted once for each."""
    lower = np.maximum(rectangles[:, None, :2], others[None, :, :2])
    upper = np.minimum(rectangles[:, None, 2:], others[None, :, 2:])
    return (upper - lower).clip(min=0).prod(axis=2).sum(axis=1)
