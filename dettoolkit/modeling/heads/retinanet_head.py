"""RetinaNet's head: two towers of convolutions, shared by the levels."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from dettoolkit.modeling.layers import NormByLevel, NormName
from dettoolkit.registry import HEADS
from dettoolkit.structures import DensePredictions


class Tower(nn.Module):
    """``num_convs`` 3x3 convolutions with norm and ReLU.

    Args:
        channels: channels in and out.
        num_convs: how many.
        norm: the norm, kept apart by level where it has running statistics.
        num_levels: L.
    """

    def __init__(self, channels: int, num_convs: int, norm: NormName, num_levels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(num_convs))
        self.norms = nn.ModuleList(NormByLevel(norm, channels, num_levels) for _ in range(num_convs))

    def forward(self, x: Tensor, level: int) -> Tensor:
        """Return ``[N, channels, h, w]`` of pyramid level number ``level``."""
        for convolution, norm in zip(self.convs, self.norms, strict=True):
            x = functional.relu(norm(convolution(x), level))
        return x


@HEADS.register()
class RetinaNetHead(nn.Module):
    """The head of RetinaNet (Lin et al., ICCV 2017, section 4): a classification and a box tower.

    Args:
        in_channels: channels of the maps (wired).
        num_anchors: A, anchors a location (wired).
        num_classes: K, objects only (wired).
        num_levels: L (wired).
        num_convs: convolutions in each tower before the last one; 4 in the paper, 0 for none.
        norm: none (the paper), GN, BN or SyncBN; statistics are kept apart by level.
        prior_probability: what the classification starts from for every anchor (section 4.1): the bias of the last
            convolution is -log((1 - p) / p), so that the many negatives do not swamp the first steps.

    Raises:
        ValueError: ``prior_probability`` outside of (0, 1), no class, or a negative number of convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        num_classes: int,
        num_levels: int,
        num_convs: int = 4,
        norm: NormName = "none",
        prior_probability: float = 0.01,
    ) -> None:
        super().__init__()
        if not 0 < prior_probability < 1:
            raise ValueError(f"prior_probability expects a number between 0 and 1, got {prior_probability}")
        if num_classes < 1 or num_convs < 0:
            raise ValueError(f"expected num_classes >= 1 and num_convs >= 0, got {num_classes} and {num_convs}")
        self.num_classes = num_classes
        self.prior_probability = prior_probability
        self.classification_tower = Tower(in_channels, num_convs, norm, num_levels)
        self.box_tower = Tower(in_channels, num_convs, norm, num_levels)
        self.classification = nn.Conv2d(in_channels, num_anchors * num_classes, 3, padding=1)
        self.box = nn.Conv2d(in_channels, num_anchors * 4, 3, padding=1)
        prior_logit = -math.log((1 - prior_probability) / prior_probability)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.normal_(module.weight, std=0.01)
                nn.init.constant_(module.bias, prior_logit if module is self.classification else 0.0)

    def forward(self, maps: Sequence[Tensor]) -> DensePredictions:
        """Return logits and deltas of L maps ``[N, in_channels, h, w]``."""
        logits, deltas = [], []
        for level, x in enumerate(maps):
            logits.append(_flatten(self.classification(self.classification_tower(x, level)), self.num_classes))
            deltas.append(_flatten(self.box(self.box_tower(x, level)), 4))
        return DensePredictions(logits, deltas, [(x.shape[-2], x.shape[-1]) for x in maps])


def _flatten(x: Tensor, size: int) -> Tensor:
    """Return ``[N, A * size, h, w]`` as ``[N, h * w * A, size]``; a view when ``x`` is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, size)  # len() would fix N in an export
