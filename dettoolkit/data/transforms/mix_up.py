"""MixUp: two images blended, with the boxes of both."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Beta

from dettoolkit.data.transforms.canvas import blank
from dettoolkit.data.transforms.cut import annotated, size_of
from dettoolkit.registry import TRANSFORMS
from dettoolkit.structures import Sample


@TRANSFORMS.register()
class MixUp:
    """Blends an image with another one, after Zhang et al. 2019 (arXiv:1902.04103); neither is scaled or cut.

    Both lie at the left and the top of a canvas that holds both; where only one of them is, it is blended with ``fill``.
    Boxes, labels and ignore regions of both stay, and every object counts fully in the losses, however faint it is; the paper
    weighs losses by the blending, many detectors do not. A large ``beta`` keeps both images near equal weight.

    Args:
        beta: both parameters of the Beta distribution that the weight of the first image is drawn from; 1.5 in the paper.
        fill: value of what an image does not cover, one number or one for each channel.

    Raises:
        ValueError: ``beta`` is not above 0.
    """

    num_extra_samples = 1
    for_training_only = True

    def __init__(self, beta: float = 1.5, fill: int | Sequence[int] = 114) -> None:
        if not beta > 0:
            raise ValueError(f"expected beta above 0, got {beta}")
        self.beta, self.fill = beta, fill

    def __call__(self, sample: Sample, extras: Sequence[Sample]) -> Sample:
        """Return the blended image under the name of ``sample``."""
        weight = float(Beta(self.beta, self.beta).sample())
        (other,) = extras
        sizes = [size_of(sample), size_of(other)]
        size = max(height for height, _ in sizes), max(width for _, width in sizes)
        first, second = (self._on_canvas(given["image"].as_subclass(Tensor), size) for given in (sample, other))
        boxes = torch.cat([given["boxes"].as_subclass(Tensor) for given in (sample, other)])
        labels = torch.cat([sample["labels"], other["labels"]])
        ignore = torch.cat([sample["ignore"], other["ignore"]])
        return annotated(sample, blended(first, second, weight), boxes, labels, ignore)

    def _on_canvas(self, pixels: Tensor, size: tuple[int, int]) -> Tensor:
        height, width = pixels.shape[-2:]
        if (height, width) == size:
            return pixels
        canvas = blank(pixels, size, self.fill)
        canvas[:, :height, :width] = pixels
        return canvas


def blended(first: Tensor, second: Tensor, weight: float | Tensor) -> Tensor:
    """Return ``weight * first + (1 - weight) * second`` in a new tensor, rounded where pixels are whole numbers.

    Args:
        first: ``[C, H, W]``.
        second: ``[C, H, W]`` of the same dtype.
        weight: 0..1, or ``[H, W]`` of them.
    """
    mixed = first.to(torch.float32, copy=True).sub_(second).mul_(weight).add_(second)
    return mixed if first.is_floating_point() else mixed.round_().to(first.dtype)
