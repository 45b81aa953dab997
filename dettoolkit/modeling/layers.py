"""Layers that torchvision.ops lacks, and the choice of a norm by name."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d as TorchvisionFrozenBatchNorm2d

NormName: TypeAlias = Literal["none", "GN", "BN", "SyncBN"]


class FrozenBatchNorm2d(TorchvisionFrozenBatchNorm2d):
    """Batch norm with fixed statistics and affine parameters, with the state-dict keys of torchvision's.

    One fused call in the dtype of its input: torchvision's multiplies by float32 buffers, which turns bfloat16
    activations under autocast back into float32.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[N, C, H, W]`` of the same dtype and memory format as ``x``."""
        return nn.functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
        )


def make_norm(name: NormName, channels: int) -> nn.Module:
    """Return a norm for maps of ``channels`` channels.

    ``"none"`` is the identity; ``"GN"`` has 32 groups, or as many as divide the channels into two and more
    (with one channel each, every map would lose its mean, and maps of one pixel all that they say).

    Raises:
        ValueError: no such norm.
    """
    if name == "none":
        return nn.Identity()
    if name == "GN":
        groups = math.gcd(32, channels)
        return nn.GroupNorm(groups // 2 if groups == channels > 1 else groups, channels)
    if name == "BN":
        return nn.BatchNorm2d(channels)
    if name == "SyncBN":
        return nn.SyncBatchNorm(channels)
    raise ValueError(f"expected a norm of none, GN, BN or SyncBN, got {name!r}")


class NormByLevel(nn.Module):
    """A norm whose statistics are kept apart by pyramid level, for a head that is shared by the levels.

    Norms without running statistics (GN) are shared as the convolutions are.

    Args:
        name: the norm.
        channels: channels of the maps.
        num_levels: L.
    """

    def __init__(self, name: NormName, channels: int, num_levels: int) -> None:
        super().__init__()
        apart = name in ("BN", "SyncBN")
        self.levels = nn.ModuleList(make_norm(name, channels) for _ in range(num_levels if apart else 1))

    def forward(self, x: Tensor, level: int) -> Tensor:
        """Return the normed map ``[N, C, H, W]`` of pyramid level number ``level`` (0..L-1)."""
        return self.levels[level % len(self.levels)](x)
