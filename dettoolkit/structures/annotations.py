"""Annotations: the ground truth of one image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Annotations:
    """The ground truth of one image.

    Args:
        boxes: ``[G, 4]`` float32, absolute xyxy pixels.
        labels: ``[G]`` int64, 0..K-1.
        ignore: ``[G]`` bool; True marks a crowd region: no positive, no negative, no error in evaluation.
        has_crowds: whether some are crowd regions; None where only the device knows that ``ignore`` is on.

    Raises:
        ValueError: the shapes do not agree.
    """

    boxes: Tensor
    labels: Tensor
    ignore: Tensor
    has_crowds: bool | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        if self.boxes.shape != (count, 4) or self.labels.shape != (count,) or self.ignore.shape != (count,):
            raise ValueError(
                "expected boxes [G, 4], labels [G] and ignore [G], got "
                f"{list(self.boxes.shape)}, {list(self.labels.shape)} and {list(self.ignore.shape)}"
            )

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def empty(cls, device: torch.device | str = "cpu") -> Annotations:
        """Return the annotations of an image without objects."""
        return cls(
            torch.zeros(0, 4, device=device),
            torch.zeros(0, dtype=torch.int64, device=device),
            torch.zeros(0, dtype=torch.bool, device=device),
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Annotations:
        """Return the same annotations on another device; what leaves the CPU remembers whether it has crowd regions."""
        has_crowds = self.has_crowds
        if has_crowds is None and self.ignore.device.type == "cpu":
            has_crowds = bool(self.ignore.any())
        return Annotations(
            self.boxes.to(device, non_blocking=non_blocking),
            self.labels.to(device, non_blocking=non_blocking),
            self.ignore.to(device, non_blocking=non_blocking),
            has_crowds,
        )

    def pin_memory(self) -> Annotations:
        """Return the same annotations in page-locked memory (the data loader calls it by this name)."""
        return Annotations(self.boxes.pin_memory(), self.labels.pin_memory(), self.ignore.pin_memory())
