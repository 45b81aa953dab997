"""Detections: what a detector found in one image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Detections:
    """What a detector found in one image, highest score first.

    Args:
        boxes: ``[D, 4]`` float32, absolute xyxy pixels.
        scores: ``[D]`` float32 in 0..1.
        labels: ``[D]`` int64, 0..K-1.

    Raises:
        ValueError: the shapes do not agree.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or self.scores.shape != (count,) or self.labels.shape != (count,):
            raise ValueError(
                "expected boxes [D, 4], scores [D] and labels [D], got "
                f"{list(self.boxes.shape)}, {list(self.scores.shape)} and {list(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: Tensor | slice) -> Detections:
        """Return the detections that a mask, an index tensor or a slice picks."""
        return Detections(self.boxes[index], self.scores[index], self.labels[index])

    @classmethod
    def empty(cls, device: torch.device | str = "cpu") -> Detections:
        """Return no detections."""
        return cls(
            torch.zeros(0, 4, device=device),
            torch.zeros(0, device=device),
            torch.zeros(0, dtype=torch.int64, device=device),
        )

    def above(self, score_threshold: float | Tensor) -> Detections:
        """Return the detections with a score of at least ``score_threshold``: one number, or ``[K]``, that of each label."""
        if isinstance(score_threshold, Tensor) and score_threshold.ndim:
            score_threshold = score_threshold.to(self.scores)[self.labels]
        return self[self.scores >= score_threshold]

    def to(self, device: torch.device | str) -> Detections:
        """Return the same detections on another device."""
        return Detections(self.boxes.to(device), self.scores.to(device), self.labels.to(device))
