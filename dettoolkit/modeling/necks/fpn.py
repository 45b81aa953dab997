"""Feature pyramid network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from dettoolkit.modeling.layers import NormName, make_norm
from dettoolkit.registry import NECKS


@NECKS.register()
class FPN(nn.Module):
    """Feature pyramid network (Lin et al., CVPR 2017) with the extra levels of RetinaNet.

    Levels that the backbone has get a 1x1 convolution, the sum with the upsampled level above, and a 3x3 convolution.
    Levels above the backbone's last are 3x3 convolutions of stride 2: the first of C5 or P5, each further one of the
    rectified level below (RetinaNet, section 4).

    Args:
        in_channels: channels of the backbone's maps by level (wired).
        in_strides: strides of the backbone's maps by level (wired).
        out_channels: channels of every map.
        levels: first and last pyramid level, within 2..7.
        extra_levels_from: what P6 is made of: C5 (the paper, Detectron2) or P5 (torchvision's first RetinaNet).
        norm: norm after each convolution: none, GN, BN or SyncBN.
        relu_between_extra_levels: whether a further extra level is made of the rectified level below (the paper,
            Detectron2, torchvision), or of the level as it is (MMDetection's RetinaNets).

    Raises:
        ValueError: levels out of order, or that the backbone cannot give.
    """

    def __init__(
        self,
        in_channels: Mapping[str, int],
        in_strides: Mapping[str, int],
        out_channels: int = 256,
        levels: tuple[int, int] = (3, 7),
        extra_levels_from: Literal["C5", "P5"] = "C5",
        norm: NormName = "none",
        relu_between_extra_levels: bool = True,
    ) -> None:
        super().__init__()
        first, last = levels
        backbone_last = max(int(name[1:]) for name in in_channels)
        if not 2 <= first <= last <= 7 or f"C{first}" not in in_channels:
            raise ValueError(
                f"levels expects first <= last within 2..7 and a first level of {list(in_channels)}, got {list(levels)}"
            )
        self._merged = list(range(first, min(last, backbone_last) + 1))
        self._extra = list(range(backbone_last + 1, last + 1))
        self._extra_levels_from = extra_levels_from
        self._relu_between = relu_between_extra_levels
        self._top = f"C{backbone_last}"
        bias = norm == "none"
        self.lateral = nn.ModuleDict()
        self.output = nn.ModuleDict()
        for level in self._merged:
            lateral = nn.Conv2d(in_channels[f"C{level}"], out_channels, 1, bias=bias)
            output = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=bias)
            self.lateral[f"P{level}"] = nn.Sequential(lateral, make_norm(norm, out_channels))
            self.output[f"P{level}"] = nn.Sequential(output, make_norm(norm, out_channels))
        self.extra = nn.ModuleDict()
        source = in_channels[self._top] if extra_levels_from == "C5" else out_channels
        for level in self._extra:
            convolution = nn.Conv2d(source, out_channels, 3, stride=2, padding=1, bias=bias)
            self.extra[f"P{level}"] = nn.Sequential(convolution, make_norm(norm, out_channels))
            source = out_channels
        self.channels = out_channels
        self.strides = [in_strides[f"C{level}"] for level in self._merged] + [2**level for level in self._extra]
        self.size_divisibility = in_strides[f"C{self._merged[-1]}"]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)  # Caffe2's XavierFill, as all references do
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        """Return the pyramid's maps ``[N, out_channels, h, w]``, finest first."""
        merged: dict[int, Tensor] = {}
        above: Tensor | None = None
        for level in reversed(self._merged):
            x = self.lateral[f"P{level}"](features[f"C{level}"])
            above = x if above is None else x + functional.interpolate(above, size=x.shape[-2:], mode="nearest")
            merged[level] = above
        maps = [self.output[f"P{level}"](merged[level]) for level in self._merged]
        x = features[self._top] if self._extra_levels_from == "C5" else maps[-1]
        for index, level in enumerate(self._extra):
            x = self.extra[f"P{level}"](functional.relu(x) if index and self._relu_between else x)
            maps.append(x)
        return maps
