"""Layers that torchvision.ops lacks, and the choice of a norm by name."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d as TorchvisionFrozenBatchNorm2d

from dettoolkit.distributed import sum_with_gradient, world_size

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


class HostSyncBatchNorm(nn.BatchNorm2d):  # as a kind of nn.SyncBatchNorm, DDP would refuse it
    """Synchronised batch norm for devices on which PyTorch has none, such as the CPU; in one process plain batch norm.

    Mean and variance are those of the pixels of all processes, by two exchanges of C numbers in each direction.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``[N, C, H, W]`` of the dtype of ``x``, computed in float32 at least."""
        if not self.training or world_size() == 1:
            return super().forward(x)
        wide, over = x.to(torch.promote_types(x.dtype, torch.float32)), (0, 2, 3)
        count = wide.new_full((1,), wide.numel() / wide.shape[1])
        sums = sum_with_gradient(torch.cat([wide.sum(over), count]))
        shape, number = (1, -1, 1, 1), sums[-1].detach()
        mean = sums[:-1] / number
        centred = wide - mean.view(shape)
        variance = sum_with_gradient(centred.square().sum(over)) / number
        self._follow(mean.detach(), variance.detach() * number / (number - 1).clamp(min=1))
        result = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            result = result * self.weight.view(shape) + self.bias.view(shape)
        return result.to(x.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        if self.num_batches_tracked is None or self.running_mean is None or self.running_var is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)


def synchronise_on_host(model: nn.Module) -> int:
    """Replace each synchronised batch norm that is trained by :class:`HostSyncBatchNorm`, with the same weights and names.

    Args:
        model: not wrapped yet, on a device on which PyTorch's own cannot be used in several processes.

    Returns:
        How many there are.
    """
    count = 0
    for parent in list(model.modules()):
        for name, norm in list(parent.named_children()):
            if type(norm) is nn.SyncBatchNorm and norm.training:  # those of frozen stages, in evaluation mode, exchange nothing
                replacement = HostSyncBatchNorm(
                    norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
                )
                replacement._parameters, replacement._buffers = norm._parameters, norm._buffers
                setattr(parent, name, replacement)
                count += 1
    return count


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
