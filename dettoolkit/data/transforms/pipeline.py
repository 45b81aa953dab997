"""Pipeline: transforms in a row, seeded for each sample, ending in boxes that are fit to learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from torch import Tensor
from torchvision.transforms import v2

from dettoolkit.data.transforms.randomness import seeded
from dettoolkit.data.transforms.surroundings import Surroundings, TrainingLength, Transform, apply_all
from dettoolkit.registry import TRANSFORMS
from dettoolkit.structures import Sample


def build_transforms(
    nodes: Sequence[Mapping[str, Any]], path: str, training_length: TrainingLength | None = None
) -> list[Transform]:
    """Return the transforms that config nodes describe.

    Args:
        nodes: ``{"NAME": ..., "PARAMETER": value, ...}`` each.
        path: where the list stands in the config, for messages.
        training_length: for those that depend on it.

    Raises:
        ConfigError: no such transform, or parameters that it does not take.
    """
    return [TRANSFORMS.build(node, f"{path}.{index}", training_length=training_length) for index, node in enumerate(nodes)]


class Pipeline:
    """Transforms in a row; then boxes are clamped to the image, and those that are too small go with their labels and marks.

    Args:
        transforms: each takes a sample and returns one. One with an attribute ``num_extra_samples`` (mosaic, mix-up) takes a
            list of that many other samples besides; these have passed the transforms before it.
        min_size: pixels; boxes with a shorter side or fewer square pixels are taken out.
    """

    def __init__(self, transforms: Sequence[Transform], min_size: float = 1.0) -> None:
        self.transforms = list(transforms)
        self._clamp = v2.ClampBoundingBoxes()
        self._sanitize = v2.SanitizeBoundingBoxes(min_size, max(1.0, min_size), labels_getter=_labels_and_ignore)

    def __call__(
        self,
        sample: Sample,
        seed: Sequence[int] = (0,),
        draw: Callable[[], Sample] | None = None,
        position: int = 0,
    ) -> Sample:
        """Return the transformed sample; the given one stays as it is.

        Args:
            sample: with ``image``, ``boxes``, ``labels`` and ``ignore``.
            seed: what the random numbers depend on: (seed, epoch, position).
            draw: returns another sample, drawn at random; asked by transforms that need some.
            position: of the sample in the stream of the training; asked by transforms that close at its end.
        """
        with seeded(*seed):
            transformed = self.apply(sample, Surroundings(draw, position))
        return cast(Sample, self._sanitize(self._clamp(transformed)))

    def apply(self, sample: Any, surroundings: Surroundings | None = None) -> Any:
        """Return the sample after the transforms, neither clamped nor sanitised, with random numbers of the global state."""
        return apply_all(self.transforms, sample, surroundings or Surroundings())


def _labels_and_ignore(sample: Sample) -> tuple[Tensor, Tensor]:
    return sample["labels"], sample["ignore"]
