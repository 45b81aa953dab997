"""Evaluator: what the engine asks of a class in ``EVALUATION.EVALUATORS``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

from dettoolkit.structures import Detections, Sample

Results: TypeAlias = dict[str, dict[str, Any]]
"""``{"bbox": {"AP": 0.4, ..., "per_class": {"cat": {"AP": 0.5, ...}}}}``; None where there is no ground truth to measure on."""


class Evaluator(Protocol):
    """Measures detections against the ground truth that the samples carry.

    The engine calls ``reset``, then ``update`` for each batch of this process's share of the images, then ``compute``
    once in all processes together. The constructor is wired ``info``, the :class:`~dettoolkit.structures.DatasetInfo` of
    the data set, where it takes one.
    """

    def reset(self) -> None:
        """Forget all images."""

    def update(self, samples: Sequence[Sample], detections: Sequence[Detections]) -> None:
        """Take the detections of some images.

        Args:
            samples: N samples with ``image_id``, ``original_size`` and ``original``; ``original_areas`` where there are any.
            detections: N detections in the pixels of the original images.
        """

    def compute(self) -> Results:
        """Return the numbers over the images of all processes; every process gets the same ones."""
