"""ImageForm: of how many channels the images of a run are, and what their values span."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dettoolkit.data.image_io import read_image
from dettoolkit.data.stored_image import StoredPixels, read_stored
from dettoolkit.errors import ConfigError, DataError
from dettoolkit.registry import TRANSFORMS

_COLOUR_MODULES = ("torchvision.transforms.v2._color", "torchvision.transforms.v2._auto_augment")
_COLOUR_NAMES = ("GaussianNoise", "JPEG", "Normalize", "ToDtype", "Albumentations")


@dataclass(frozen=True)
class ImageForm:
    """What a config declares of its images; the default is RGB as people see it.

    Args:
        channels: C; a gray file is also taken for three equal channels.
        value_range: the values in the files that become 0 and 255; what lies outside becomes the nearer of the two. None:
            files have 8 bits, which stay as they are; of RGB also 16, which are divided by 256.

    Raises:
        ConfigError: a range whose end is not above its start.
    """

    channels: int = 3
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise ConfigError(f"DATASETS.PIXEL_RANGE: expected [lowest, highest], got {list(self.value_range)}")

    @property
    def is_rgb(self) -> bool:
        """Whether images are what :func:`dettoolkit.data.read_image` gives."""
        return self.channels == 3 and self.value_range is None

    @property
    def dtype(self) -> torch.dtype:
        """Of the pixels that :meth:`read` returns."""
        return torch.uint8 if self.value_range is None else torch.float32

    def read(self, path: str | os.PathLike[str]) -> Tensor:
        """Return the pixels of a file: ``[C, H, W]`` in 0..255, uint8, or float32 where a range is declared.

        Raises:
            DataError: it cannot be read, has another number of channels, or its type does not go with the range.
        """
        if self.is_rgb:
            return read_image(path)
        try:
            return self.scaled(read_stored(path))
        except DataError as error:
            raise DataError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error.__cause__

    def scaled(self, stored: StoredPixels) -> Tensor:
        """Return pixels as :meth:`read` does of a file that has them.

        Raises:
            DataError: another number of channels, or a type that does not go with the range.
        """
        pixels = self._channels(stored)
        is_byte = stored.type == "uint8"
        if self.value_range is None:
            if not is_byte:
                raise DataError(
                    f"its values are {stored.type}: say what they span by DATASETS.PIXEL_RANGE, [0, 65535] where they use "
                    "all of 16 bits"
                )
            return pixels
        low, high = self.value_range
        if is_byte and high > 255:
            raise DataError(f"its values have 8 bits, which do not reach DATASETS.PIXEL_RANGE {[low, high]}")
        scaled = (pixels.float() - low) * (255 / (high - low))
        if not scaled.isfinite().all():
            raise DataError("it has values that are not finite")
        return scaled.clamp_(0, 255)

    def _channels(self, stored: StoredPixels) -> Tensor:
        pixels, count = stored.pixels, len(stored.pixels)
        if stored.has_alpha and count == self.channels + 1:
            return pixels[:-1]
        if count == 1 and self.channels == 3:
            return pixels.expand(3, -1, -1)
        if count != self.channels:
            raise DataError(
                f"expected {self.channels} channel(s), as many as MODEL.INPUT.PIXEL_MEAN has numbers, the file has {count}"
            )
        return pixels


def image_form(cfg: Mapping[str, Any]) -> ImageForm:
    """Return what a config declares: the length of ``MODEL.INPUT.PIXEL_MEAN``, and ``DATASETS.PIXEL_RANGE``.

    Raises:
        ConfigError: the range is empty.
    """
    means = cfg.get("MODEL", {}).get("INPUT", {}).get("PIXEL_MEAN")
    value_range = cfg.get("DATASETS", {}).get("PIXEL_RANGE")
    return ImageForm(3 if means is None else len(means), None if value_range is None else (value_range[0], value_range[1]))


def check_transforms(form: ImageForm, nodes: Any, path: str) -> None:
    """Refuse transforms that take floating-point pixels to be in 0..1 where they are in 0..255: they would cut off all above 1.

    Args:
        form: of the images.
        nodes: config nodes of transforms, with others inside of them.
        path: where they stand, for messages.

    Raises:
        ConfigError: one of them is of that kind.
    """
    if form.dtype == torch.uint8:
        return
    if isinstance(nodes, (list, tuple)):
        for index, node in enumerate(nodes):
            check_transforms(form, node, f"{path}.{index}")
    elif isinstance(nodes, Mapping):
        name = nodes.get("NAME")
        if isinstance(name, str) and name in TRANSFORMS and _is_of_colour(TRANSFORMS.get(name)):
            raise ConfigError(
                f"{path}: {name} takes floating-point pixels to be in 0..1, and with DATASETS.PIXEL_RANGE they are in 0..255. "
                "Leave it out: transforms that move or resize pixels can stay."
            )
        for key, value in nodes.items():
            check_transforms(form, value, f"{path}.{key}")


def _is_of_colour(transform: Any) -> bool:
    """Whether a transform computes with the values of pixels by torchvision's or Albumentations's rules."""
    kind = getattr(transform, "__module__", "")
    return kind.startswith(_COLOUR_MODULES) or getattr(transform, "__name__", "") in _COLOUR_NAMES


def as_shown(pixels: Tensor) -> Tensor:
    """Return pixels in 0..255 of any number of channels as a picture: uint8 RGB ``[3, H, W]``.

    The first three channels are shown, or the first alone, in gray, where there are fewer.
    """
    shown = pixels[:3] if len(pixels) >= 3 else pixels[:1].expand(3, -1, -1)
    return shown if shown.dtype == torch.uint8 else shown.round().clamp(0, 255).to(torch.uint8)
