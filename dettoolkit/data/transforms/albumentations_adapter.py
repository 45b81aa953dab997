"""Albumentations: transforms of that library, by name."""

from __future__ import annotations

import inspect
import os
import random
import warnings
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dettoolkit.data.transforms.cut import annotated, cut, size_of
from dettoolkit.errors import ConfigError, MissingDependencyError, did_you_mean, listed, shown
from dettoolkit.registry import TRANSFORMS
from dettoolkit.structures import Sample


@TRANSFORMS.register()
class Albumentations:
    """Applies transforms of Albumentations (extra ``albumentations``), one after another; boxes follow.

    That is the library under the MIT licence, which ended with 2.0.8. Its successor AlbumentationsX is under the AGPL, which
    would reach the programs of those who use this one; where it stands in the library's place, it is refused.

    Args:
        transforms: a list of mappings: ``NAME`` of the class, and its parameters in upper or lower case, e.g.
            ``{NAME: Rotate, LIMIT: [-10, 10], P: 0.5}``; ``OneOf`` and the like have ``TRANSFORMS`` inside.

    Raises:
        MissingDependencyError: Albumentations is not installed.
        ValueError: no such transform, or parameters that it does not take.
    """

    for_training_only = True

    def __init__(self, transforms: list[dict[str, Any]]) -> None:
        library = _library()
        self.nodes = transforms
        # the index brings labels and marks back; whether a box stays is decided by the pipeline's end
        boxes = library.BboxParams(format="pascal_voc", label_fields=["index"])
        built = [_build(library, node, f"TRANSFORMS.{place}") for place, node in enumerate(transforms)]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Got processor for bboxes")  # where all transforms leave boxes as they are
            self._compose = library.Compose(built, bbox_params=boxes)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.nodes,)

    def __call__(self, sample: Sample) -> Sample:
        """Return the sample after the transforms; their random numbers follow torch's generator.

        Raises:
            ConfigError: something else than an image of whole numbers comes out.
        """
        height, width = size_of(sample)
        inside = cut(sample, (0, 0, width, height))  # the library refuses boxes that reach out of the image
        seed = int(torch.randint(2**31, ()))
        # one generator for all: with the same seed for each, they would all be applied or all be left out
        self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
        image = inside["image"].as_subclass(Tensor)
        boxes, labels, ignore = inside["boxes"].as_subclass(Tensor), inside["labels"], inside["ignore"]
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        out = self._compose(image=pixels, bboxes=boxes.numpy(), index=np.arange(len(boxes)))
        kept = torch.as_tensor(np.asarray(out["index"], dtype=np.int64))
        moved = torch.from_numpy(np.asarray(out["bboxes"], dtype=np.float32).reshape(-1, 4))
        return annotated(sample, _planes(out["image"], image), moved, labels[kept], ignore[kept])


def _library() -> Any:
    """Return the library, imported.

    Raises:
        MissingDependencyError: it is not installed, too old, or its successor stands in its place.
    """
    needed = "Albumentations needs albumentations 2: pip install 'dettoolkit[albumentations]'"
    if _version("albumentationsx"):  # imported under the same name
        raise MissingDependencyError(f"{needed}. AlbumentationsX, which is installed, is under the AGPL: uninstall it first")
    version = _version("albumentations")
    if version is None or int(version.partition(".")[0]) < 2:
        raise MissingDependencyError(needed + (f". Installed is {version}" if version else ""))
    # it asks the internet for its newest version otherwise, in every process that imports it
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _build(library: Any, node: Any, path: str) -> Any:
    """Return the transform that a mapping describes.

    Raises:
        ValueError: the library has none of that name, or it does not take these parameters.
    """
    if not isinstance(node, Mapping) or not isinstance(node.get("NAME"), str):
        raise ValueError(f"{path}: expected a mapping with NAME, a transform of Albumentations, got {shown(node)}")
    name, known = node["NAME"], _transforms(library)
    if name not in known:
        raise ValueError(f"{path}.NAME: Albumentations {library.__version__} has no {name!r}.{did_you_mean(name, known)}")
    cls = known[name]
    parameters = {key.lower(): value for key, value in node.items() if key != "NAME"}
    accepted = list(inspect.signature(cls).parameters)
    for key in parameters:
        if key not in accepted:  # the library would only warn
            raise ValueError(
                f"{path}: {name} has no {key.upper()!r}.{did_you_mean(key, accepted)} "
                f"Accepted: {listed(word.upper() for word in accepted)}"
            )
    try:
        return cls(**{key: _value(library, key, value, f"{path}.{key.upper()}") for key, value in parameters.items()})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} ({name}): {error}") from error


def _value(library: Any, key: str, value: Any, path: str) -> Any:
    if key == "transforms":
        return [_build(library, node, f"{path}.{place}") for place, node in enumerate(value)]
    return tuple(value) if isinstance(value, list) else value  # its ranges are tuples


def _transforms(library: Any) -> dict[str, Any]:
    bases = (library.BasicTransform, library.BaseCompose)
    return {name: cls for name, cls in vars(library).items() if isinstance(cls, type) and issubclass(cls, bases)}


def _planes(pixels: Any, before: Tensor) -> Tensor:
    """Return ``[C, H, W]`` of what came out; of one channel, the library may leave out the axis."""
    if not isinstance(pixels, np.ndarray) or torch.from_numpy(pixels[:0]).dtype != before.dtype:
        came: Sequence[object] = (type(pixels).__name__, getattr(pixels, "dtype", ""))
        raise ConfigError(
            f"Albumentations: an image of {before.dtype} became {listed(came)}. The detector normalises images itself: leave "
            "out Normalize, ToFloat and ToTensorV2."
        )
    channels = pixels.reshape(*pixels.shape[:2], -1).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(channels))
