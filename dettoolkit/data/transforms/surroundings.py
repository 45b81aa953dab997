"""Surroundings: what a transform may know besides its sample: other samples, and how far the training is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dettoolkit.structures import Duration, Sample

Transform = Callable[..., Any]


@dataclass(frozen=True)
class TrainingLength:
    """How long a training is, wired into transforms that depend on it.

    Args:
        num_iterations: optimizer steps of the whole training.
        iterations_per_epoch: optimizer steps of an epoch.
        batch_size: images of an optimizer step, over all processes and micro-batches.
    """

    num_iterations: int
    iterations_per_epoch: int
    batch_size: int

    def begin_of_last(self, last: Duration) -> int:
        """Return the position in the stream of the first sample of the ``last`` iterations; 0 where these are all."""
        return max(0, self.num_iterations - last.iterations(self.iterations_per_epoch)) * self.batch_size


@dataclass(frozen=True)
class Surroundings:
    """Where a sample stands, for transforms that ask.

    Args:
        draw: returns another sample, drawn at random, that has passed the transforms before; None: there are no others.
        position: how many items come before the sample in the stream of the training.
    """

    draw: Callable[[], Sample] | None = None
    position: int = 0

    def after(self, transforms: Sequence[Transform]) -> Surroundings:
        """Return the same surroundings with other samples that pass ``transforms`` too."""
        draw = self.draw
        if draw is None or not transforms:
            return self
        return Surroundings(lambda: apply_all(transforms, draw(), self), self.position)


def apply_all(transforms: Sequence[Transform], sample: Any, surroundings: Surroundings) -> Any:
    """Return the sample after the transforms, in order; what one draws has passed those before it."""
    for index, transform in enumerate(transforms):
        sample = apply_one(transform, sample, surroundings.after(transforms[:index]))
    return sample


def apply_one(transform: Transform, sample: Any, surroundings: Surroundings) -> Any:
    """Return the sample after one transform.

    A transform made of transforms has ``apply_in(sample, surroundings)``, and hands the surroundings on. One that mixes
    samples has ``num_extra_samples`` and takes a list of that many besides the sample. All others take the sample alone.
    """
    if hasattr(transform, "apply_in"):
        return transform.apply_in(sample, surroundings)
    count = getattr(transform, "num_extra_samples", 0)
    if not count:
        return transform(sample)
    draw = surroundings.draw
    assert draw is not None, f"{type(transform).__name__} needs other samples, and there are none to draw from"
    return transform(sample, [draw() for _ in range(count)])
