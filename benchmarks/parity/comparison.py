"""One line of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dettoolkit.structures import Detections


@dataclass(frozen=True)
class Comparison:
    """How far apart two implementations are.

    Args:
        what: what was compared.
        reference: with which implementation, and of which version.
        difference: the largest difference found, in ``unit``; infinite where shapes or counts differ.
        tolerance: what is accepted.
        unit: of both numbers: ``relative``, ``px``, ``of the level's deviation``, ...
    """

    what: str
    reference: str
    difference: float
    tolerance: float
    unit: str

    @property
    def passed(self) -> bool:
        """Whether the difference is accepted; one that is not a number is not."""
        return self.difference <= self.tolerance


def absolute(ours: Tensor | float, theirs: Tensor | float) -> float:
    """Return the largest difference of two tensors of any float dtype; infinite where the shapes differ."""
    ours, theirs = (torch.as_tensor(value).detach().double() for value in (ours, theirs))
    if ours.shape != theirs.shape:
        return float("inf")
    return float((ours - theirs).abs().max()) if ours.numel() else 0.0


def relative(ours: Tensor | float, theirs: Tensor | float) -> float:
    """Return the largest difference over the largest size of the reference's numbers."""
    size = float(torch.as_tensor(theirs).detach().double().abs().max())
    return absolute(ours, theirs) / max(size, 1e-300)


def relative_each(ours: Mapping[str, float], theirs: Mapping[str, float]) -> float:
    """Return the largest relative difference of numbers by name; infinite where the names differ."""
    if ours.keys() != theirs.keys():
        return float("inf")
    return max(relative(ours[name], theirs[name]) for name in theirs)


def of_detections(ours: Sequence[Detections], theirs: Sequence[Detections]) -> tuple[float, float]:
    """Return the largest difference of scores and of box corners (pixels); infinite where the numbers of detections differ.

    The order may differ between equal scores: each detection is compared with the nearest of the same label among the
    reference's of the same image, and each of the reference's must be somebody's nearest.
    """
    scores, corners = 0.0, 0.0
    for mine, other in zip(ours, theirs, strict=True):
        if len(mine) != len(other):
            return float("inf"), float("inf")
        if not len(mine):
            continue
        distance = (mine.boxes[:, None] - other.boxes).abs().amax(-1) + 1e3 * (mine.scores[:, None] - other.scores).abs()
        distance = distance.masked_fill(mine.labels[:, None] != other.labels, float("inf"))
        nearest = distance.argmin(1)
        if len(nearest.unique()) != len(other) or bool((mine.labels != other.labels[nearest]).any()):
            return float("inf"), float("inf")
        scores = max(scores, absolute(mine.scores, other.scores[nearest]))
        corners = max(corners, absolute(mine.boxes, other.boxes[nearest]))
    return scores, corners
