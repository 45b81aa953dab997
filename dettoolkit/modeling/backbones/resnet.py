"""ResNet and ResNeXt, made of torchvision's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torchvision.models import resnet as torchvision_resnet

from dettoolkit.modeling.layers import FrozenBatchNorm2d
from dettoolkit.registry import BACKBONES

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_NORMS: dict[str, Callable[..., nn.Module]] = {
    "FrozenBN": FrozenBatchNorm2d,
    "BN": nn.BatchNorm2d,
    "SyncBN": nn.SyncBatchNorm,
    "GN": partial(nn.GroupNorm, 32),
}


@BACKBONES.register()
class ResNet(nn.Module):
    """ResNet (He et al., 2016) and ResNeXt (Xie et al., 2017) with torchvision's parameter names.

    ``FREEZE_STAGES`` counts the stem as the first stage, as Detectron2's ``FREEZE_AT`` does.

    Args:
        depth: number of layers.
        norm: FrozenBN (fixed statistics and affine parameters, for fine-tuning), BN, SyncBN or GN (32 groups).
        freeze_stages: how many stages are not trained: 0 none, 1 the stem, 2 the stem and C2, up to 5 (all).
        stride_in_1x1: whether a bottleneck halves the map in its first 1x1 convolution (MSRA's weights) rather than in
            the 3x3 (torchvision's).
        groups: groups of the 3x3 convolutions; 32 or 64 for ResNeXt.
        width_per_group: channels of a group at C2: 4 for ResNeXt-50-32x4d, 8 for 101-32x8d, 4 for 101-64x4d.
        in_channels: channels of the images; null: as many as ``MODEL.INPUT.PIXEL_MEAN`` has numbers, or 3. Where they are other
            than three, weights of a first convolution for RGB are averaged over its channels when they are loaded.
        norm_epsilon: what is added to variances; 1e-5 except in torchvision's published retinanet_resnet50_fpn, where it is 0.
        zero_init_residual: whether each block starts as the identity (Goyal et al., 2017), for training from scratch.
        weights: what training starts from: ``torchvision://resnet50``, a path or a URL; empty: random weights.

    Raises:
        ValueError: groups or widths that a network of this depth does not have, or zeros that would never be trained.
    """

    def __init__(
        self,
        depth: Literal[18, 34, 50, 101, 152] = 50,
        norm: Literal["FrozenBN", "BN", "SyncBN", "GN"] = "FrozenBN",
        freeze_stages: Literal[0, 1, 2, 3, 4, 5] = 0,
        stride_in_1x1: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        in_channels: int | None = None,
        norm_epsilon: float = 1e-5,
        zero_init_residual: bool = False,
        weights: str = "",
    ) -> None:
        super().__init__()
        if norm_epsilon < 0:
            raise ValueError(f"norm_epsilon expects a number >= 0, got {norm_epsilon}")
        bottleneck = depth >= 50
        if not bottleneck and (groups != 1 or width_per_group != 64 or stride_in_1x1):
            raise ValueError(
                f"depth {depth} has no bottlenecks: groups, width_per_group and stride_in_1x1 need depth 50 or more"
            )
        if zero_init_residual and norm == "FrozenBN":
            raise ValueError("zero_init_residual needs a norm that is trained: the zeros of FrozenBN would stay")
        in_channels = 3 if in_channels is None else in_channels
        block = torchvision_resnet.Bottleneck if bottleneck else torchvision_resnet.BasicBlock
        body = torchvision_resnet.ResNet(
            block,
            list(_BLOCKS[depth]),
            groups=groups,
            width_per_group=width_per_group,
            norm_layer=partial(_NORMS[norm], eps=norm_epsilon),
            zero_init_residual=zero_init_residual,
        )
        if in_channels != 3:
            body.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(body.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.conv1, self.bn1, self.relu, self.maxpool = body.conv1, body.bn1, body.relu, body.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = body.layer1, body.layer2, body.layer3, body.layer4
        if stride_in_1x1:
            self._move_strides()
        self.channels = {f"C{level}": 64 * block.expansion * 2 ** (level - 2) for level in range(2, 6)}
        self.strides = {f"C{level}": 2**level for level in range(2, 6)}
        self.weights = weights
        self.in_channels = in_channels
        self._frozen_stages = self._freeze(freeze_stages)

    @property
    def has_frozen_stages(self) -> bool:
        """Whether some stages are not trained: then training needs ``weights``."""
        return bool(self._frozen_stages)

    def _move_strides(self) -> None:
        for layer in (self.layer2, self.layer3, self.layer4):
            layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)

    def _freeze(self, count: int) -> list[nn.Module]:
        stages = [[self.conv1, self.bn1], [self.layer1], [self.layer2], [self.layer3], [self.layer4]]
        frozen = [module for stage in stages[:count] for module in stage]
        for module in frozen:
            module.requires_grad_(False).eval()
        return frozen

    def train(self, mode: bool = True) -> ResNet:
        """Set the mode; frozen stages stay in eval mode, so that their statistics stay too."""
        super().train(mode)
        for module in self._frozen_stages:
            module.eval()
        return self

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the maps C2..C5 of ``[N, C, H, W]`` images, strides 4 to 32."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        features = {}
        for level, layer in enumerate((self.layer1, self.layer2, self.layer3, self.layer4), start=2):
            x = layer(x)
            features[f"C{level}"] = x
        return features
