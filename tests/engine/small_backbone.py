"""The backbone of small.yaml: a file that PLUGINS names, so that new processes have it too."""

from __future__ import annotations

from torch import Tensor, nn

from dettoolkit.registry import BACKBONES


@BACKBONES.register()
class SmallBackbone(nn.Module):
    """Four convolutions with a norm, strides 4 to 32."""

    def __init__(self, norm: str = "GN") -> None:
        super().__init__()
        self.channels = {"C2": 8, "C3": 16, "C4": 16, "C5": 16}
        self.strides = {"C2": 4, "C3": 8, "C4": 16, "C5": 32}
        self.stages = nn.ModuleDict()
        before, stride = 3, 4
        for level, channels in self.channels.items():
            convolution = nn.Conv2d(before, channels, stride + 1, stride, stride // 2, bias=False)
            normed = nn.GroupNorm(4, channels) if norm == "GN" else nn.BatchNorm2d(channels)
            self.stages[level] = nn.Sequential(convolution, normed, nn.ReLU())
            before, stride = channels, 2

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = {}
        for level, stage in self.stages.items():
            images = stage(images)
            features[level] = images
        return features
