"""What the losses are divided by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dettoolkit.distributed.collectives import mean_over_processes


class Normalizer(nn.Module):
    """Turns the numbers of positives of a batch into the factor of each image's loss."""

    def forward(self, num_positives: Tensor) -> Tensor:
        """Return the factor of each image's loss, ``[N]`` float32, from ``num_positives [N]``."""
        raise TypeError(f"{type(self).__name__} is only a name for what normalisers have in common")


class WorldAverage(Normalizer):
    """The positives of all images, averaged over the processes, at least 1.

    Gradients are averaged over processes, so the result is that of one process with the whole batch.
    """

    def forward(self, num_positives: Tensor) -> Tensor:
        """Return the same factor for each image."""
        average = mean_over_processes(num_positives.sum().float()).clamp(min=1)
        return (1 / average).expand(len(num_positives))


class PerImage(Normalizer):
    """The positives of each image, at least 1, and the mean over the images (RetinaNet, section 4.1; torchvision)."""

    def forward(self, num_positives: Tensor) -> Tensor:
        """Return a factor for each image."""
        return 1 / (num_positives.float().clamp(min=1) * len(num_positives))


class MovingAverage(Normalizer):
    """A moving average of this process's positives, momentum 0.9 from 100 on (Detectron2); part of the checkpoint."""

    average: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.tensor(100.0))

    def forward(self, num_positives: Tensor) -> Tensor:
        """Return the same factor for each image, after taking this batch into the average."""
        self.average.mul_(0.9).add_(num_positives.sum().clamp(min=1).float(), alpha=0.1)
        return (1 / self.average.clone()).expand(len(num_positives))


NORMALIZERS: dict[str, type[Normalizer]] = {
    "world_average": WorldAverage,
    "per_image": PerImage,
    "moving_average": MovingAverage,
}
