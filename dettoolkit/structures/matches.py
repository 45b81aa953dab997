"""Matches: which ground-truth box each anchor stands for."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

NEGATIVE = -1
IGNORED = -2


@dataclass
class Matches:
    """What a matcher says of the anchors of one image.

    Args:
        indices: ``[R]`` int64: index of the ground-truth box, ``NEGATIVE`` (-1) for background, ``IGNORED`` (-2) for neither.
        quality: ``[R]`` float32 that a quality loss learns; None for the IoU of the predicted box with the one it stands for.
    """

    indices: Tensor
    quality: Tensor | None = None
