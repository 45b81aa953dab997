"""MobileNetV3 and the path aggregation network, as entries of BACKBONES and NECKS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import mobilenet_v3_large

from dettoolkit.modeling.layers import NormName, make_norm
from dettoolkit.modeling.necks import FPN
from dettoolkit.registry import BACKBONES, NECKS

# the last of torchvision's blocks at each stride, and its channels (Howard et al., table 1)
_LAST_BLOCKS = {"C2": (3, 24), "C3": (6, 40), "C4": (12, 112), "C5": (15, 160)}


@BACKBONES.register()
class MobileNetV3(nn.Module):
    """MobileNetV3-Large (Howard et al., "Searching for MobileNetV3", ICCV 2019), made of torchvision's blocks.

    Args:
        reduced_tail: whether the last blocks have half of their channels, as in the paper's detectors (section 6.3).
    """

    def __init__(self, reduced_tail: bool = False) -> None:
        super().__init__()
        last, _ = _LAST_BLOCKS["C5"]
        # without the 1x1 convolution after the last block, which is for classification
        self.blocks = mobilenet_v3_large(reduced_tail=reduced_tail).features[: last + 1]
        self.channels = {level: channels for level, (_, channels) in _LAST_BLOCKS.items()}
        if reduced_tail:
            self.channels["C5"] //= 2
        self.strides = {level: 2 ** int(level[1]) for level in _LAST_BLOCKS}
        self.in_channels = 3

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps C2..C5 of ``[N, 3, H, W]`` images, strides 4 to 32."""
        names = {block: level for level, (block, _) in _LAST_BLOCKS.items()}
        features, x = {}, images
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in names:
                features[names[index]] = x
        return features


@NECKS.register()
class PAFPN(nn.Module):
    """Path aggregation network (Liu et al., "Path Aggregation Network for Instance Segmentation", CVPR 2018, section 3.1).

    A feature pyramid, and a second way through it from fine to coarse: N of the finest level is P; each further N is
    a 3x3 convolution of the sum of its P and a 3x3 convolution of stride 2 of the N below.

    Args:
        in_channels: channels of the backbone's maps by level (wired).
        in_strides: strides of the backbone's maps by level (wired).
        out_channels: channels of every map.
        levels: first and last pyramid level, within 2..7.
        extra_levels_from: what P6 is made of.
        norm: norm after each convolution: none, GN, BN or SyncBN.
    """

    def __init__(
        self,
        in_channels: Mapping[str, int],
        in_strides: Mapping[str, int],
        out_channels: int = 256,
        levels: tuple[int, int] = (3, 7),
        extra_levels_from: Literal["C5", "P5"] = "C5",
        norm: NormName = "none",
    ) -> None:
        super().__init__()
        self.pyramid = FPN(in_channels, in_strides, out_channels, levels, extra_levels_from, norm)
        self.channels, self.strides = self.pyramid.channels, self.pyramid.strides
        self.size_divisibility = self.pyramid.size_divisibility
        steps = range(len(self.strides) - 1)
        self.down = nn.ModuleList(_convolution(out_channels, 2, norm) for _ in steps)
        self.output = nn.ModuleList(_convolution(out_channels, 1, norm) for _ in steps)

    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the maps ``[N, out_channels, h, w]``, finest first."""
        first, *coarser = self.pyramid(features)
        maps = [first]
        for x, down, output in zip(coarser, self.down, self.output, strict=True):
            maps.append(functional.relu(output(x + functional.relu(down(maps[-1])))))
        return maps


def _convolution(channels: int, stride: int, norm: NormName) -> nn.Sequential:
    convolution = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=norm == "none")
    return nn.Sequential(convolution, make_norm(norm, channels))
