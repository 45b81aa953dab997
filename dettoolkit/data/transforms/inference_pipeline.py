"""InferencePipeline: transforms without chance, and the way back from what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat, Image

from dettoolkit.data.transforms.pipeline import Pipeline, build_transforms
from dettoolkit.data.transforms.randomness import seeded
from dettoolkit.data.transforms.surroundings import Transform
from dettoolkit.data.transforms.way_back import measure_way_back
from dettoolkit.errors import ConfigError
from dettoolkit.structures import Sample

_TRIALS = 16  # a transform that acts on every second sample passes once in 2**15


class InferencePipeline:
    """Prepares samples for inference and notes how to come back to their original pixels.

    Args:
        nodes: config nodes of transforms that resize, pad, crop or flip; nothing random.
        path: where the list stands in the config, for messages.

    Raises:
        ConfigError: a transform cannot be built, is random, or moves boxes in a way that cannot be mapped back.
    """

    def __init__(self, nodes: Sequence[Mapping[str, Any]], path: str = "DATASETS.TEST_TRANSFORMS") -> None:
        transforms = build_transforms(nodes, path)
        refuse_randomness(transforms, path)
        self.path = path
        self.pipeline = Pipeline(transforms)
        self._way_back((96, 128))

    def __call__(
        self,
        sample: Sample,
        seed: Sequence[int] = (0,),
        draw: Callable[[], Sample] | None = None,
        position: int = 0,
    ) -> Sample:
        """Return the transformed sample with ``way_back``; called like a :class:`Pipeline`.

        Args:
            sample: with ``image``, ``boxes``, ``labels`` and ``ignore``; ``original_size`` is the size of its image.
            seed: without effect: nothing is random.
            draw: without effect: no transform may ask for other samples.
            position: without effect: nothing depends on how far a training is.

        Raises:
            ConfigError: boxes and image came out of the transforms differently.
        """
        del seed, draw, position
        height, width = sample["image"].shape[-2:]
        transformed = self.pipeline(sample)
        way_back, canvas_size = self._way_back((height, width))
        size = tuple(transformed["image"].shape[-2:])
        if size != canvas_size:
            raise ConfigError(f"{self.path}: an image becomes {list(size)}, the canvas of its boxes {list(canvas_size)}.")
        transformed["way_back"] = way_back
        return transformed

    def _way_back(self, size: tuple[int, int]) -> Any:
        try:
            return measure_way_back(self.pipeline.apply, size)
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from None


def refuse_randomness(transforms: Sequence[Transform], path: str) -> None:
    """Check that transforms do the same to a sample each time.

    Raises:
        ConfigError: one of them does not; the message names it.
    """
    sample = _noise()
    for index, transform in enumerate(transforms):
        where = f"{path}.{index} ({type(transform).__name__})"
        for part in _parts(transform):
            if getattr(part, "num_extra_samples", 0) or getattr(part, "for_training_only", False):
                what = "mixes samples" if getattr(part, "num_extra_samples", 0) else "depends on chance"
                name = "" if part is transform else f"{type(part).__name__} "
                raise ConfigError(
                    f"{where}: {name}{what}; what is evaluated must be one image. Use it in TRAIN_TRANSFORMS only."
                )
        outcomes = []
        for trial in range(_TRIALS):
            with seeded(trial):
                outcomes.append(transform(sample))
        if not all(_same(outcomes[0], other) for other in outcomes[1:]):
            raise ConfigError(
                f"{where}: gives a different result each time; what is evaluated must not depend on chance. "
                "Accepted before inference: resizing, padding, cropping and flipping with fixed parameters."
            )
        sample = outcomes[0]


def _parts(transform: Transform) -> Iterator[Transform]:
    """Yield a transform and the transforms that it is made of."""
    yield transform
    for part in getattr(transform, "transforms", ()):
        yield from _parts(part)


def _noise() -> Sample:
    pixels = torch.randint(256, (3, 96, 128), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    boxes = torch.tensor([[0.0, 0.0, 128.0, 96.0], [8.0, 16.0, 40.0, 80.0]])
    return Sample(
        image=Image(pixels),
        boxes=BoundingBoxes(boxes, format=BoundingBoxFormat.XYXY, canvas_size=(96, 128)),  # type: ignore[call-overload]
        labels=torch.zeros(2, dtype=torch.int64),
        ignore=torch.zeros(2, dtype=torch.bool),
    )


def _same(one: Sample, other: Sample) -> bool:
    pairs: list[tuple[Tensor, Tensor]] = [(one["image"], other["image"]), (one["boxes"], other["boxes"])]
    return all(torch.equal(a.as_subclass(Tensor), b.as_subclass(Tensor)) for a, b in pairs)
