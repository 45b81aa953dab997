"""DensePredictions: what a dense head returns, before anyone makes losses or detections of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass
class DensePredictions:
    """The raw output of a dense head, by pyramid level.

    Anchors are ordered rows, columns, anchors of the location, as ``Anchors`` orders its boxes.

    Args:
        logits: L tensors ``[N, R_l, K]``.
        deltas: L tensors ``[N, R_l, 4]``, coded by the box coder.
        map_sizes: L pairs (height, width) of the maps that they come from.
        quality: L tensors ``[N, R_l]`` for heads that predict one, or None.
    """

    logits: list[Tensor]
    deltas: list[Tensor]
    map_sizes: Sequence[tuple[int, int]]
    quality: list[Tensor] | None = None

    @property
    def num_images(self) -> int:
        """N."""
        return len(self.logits[0])

    def of_images(self, rows: Sequence[int]) -> DensePredictions:
        """Return the predictions of some of the images, by their places in the batch."""
        chosen = list(rows)
        logits, deltas = [level[chosen] for level in self.logits], [level[chosen] for level in self.deltas]
        quality = None if self.quality is None else [level[chosen] for level in self.quality]
        return DensePredictions(logits, deltas, self.map_sizes, quality)

    def float(self, logits: bool = True) -> DensePredictions:
        """Return the same predictions in float32, in which the criterion computes under autocast.

        Args:
            logits: whether the logits, too; else they stay as they are.
        """
        quality = None if self.quality is None else [level.float() for level in self.quality]
        converted = [level.float() for level in self.logits] if logits else self.logits
        return DensePredictions(converted, [level.float() for level in self.deltas], self.map_sizes, quality)
