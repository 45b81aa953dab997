"""From pixels to what the network was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn


class InputNormalization(nn.Module):
    """Pixels minus mean over deviation, in the channel order of the network; padding becomes zero afterwards.

    Args:
        channel_order: RGB, or BGR for weights that were trained on BGR (Detectron2's MSRA models).
        pixel_mean: mean of each channel in 0..255, in the order that the network sees; there are as many channels as numbers.
        pixel_std: deviation of each channel, in the same order.

    Raises:
        ValueError: lists of different lengths, a deviation that is not positive, or BGR of other than three channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        channel_order: Literal["RGB", "BGR"] = "RGB",
        pixel_mean: tuple[float, ...] = (123.675, 116.28, 103.53),
        pixel_std: tuple[float, ...] = (58.395, 57.12, 57.375),
    ) -> None:
        super().__init__()
        if len(pixel_mean) != len(pixel_std) or min(pixel_std, default=0) <= 0:
            raise ValueError(f"expected one mean and one positive std a channel, got {list(pixel_mean)} and {list(pixel_std)}")
        if channel_order == "BGR" and len(pixel_mean) != 3:
            raise ValueError(f"channel_order BGR is of three channels, pixel_mean has {len(pixel_mean)}")
        self.num_channels = len(pixel_mean)
        self.channel_order = channel_order
        # derived from the config, so not part of a checkpoint
        self.register_buffer("mean", torch.tensor(pixel_mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(pixel_std).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor, image_sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Return ``[N, C, H, W]`` float32.

        Args:
            images: ``[N, C, H, W]`` uint8 or float in 0..255, RGB.
            image_sizes: (height, width) of each image before padding.

        Raises:
            ValueError: another number of channels or of sizes, or a size larger than the batch.
        """
        if images.dim() != 4 or images.shape[1] != self.num_channels or len(images) != len(image_sizes):
            raise ValueError(
                f"expected images [N, {self.num_channels}, H, W] and N sizes, "
                f"got {list(images.shape)} and {len(image_sizes)} sizes"
            )
        x = images.flip(1) if self.channel_order == "BGR" else images
        x = (x.float() - self.mean) / self.std
        height, width = x.shape[-2:]
        for index, (h, w) in enumerate(image_sizes):
            if h > height or w > width:
                raise ValueError(f"an image size of {h} x {w} does not fit a batch of {height} x {width}")
            x[index, :, h:, :] = 0
            x[index, :, :, w:] = 0
        return x
