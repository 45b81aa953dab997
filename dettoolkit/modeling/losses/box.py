"""Box losses: on deltas, or on decoded boxes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor
from torch.nn import functional

from dettoolkit.modeling.losses.overlap import ciou_loss, diou_loss, giou_loss
from dettoolkit.registry import LOSSES


def _weighted_sum(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Return the float32 sum of ``losses [P]`` times ``weights [P]``."""
    return (losses if weights is None else losses * weights).float().sum()


@LOSSES.register()
class L1Loss:
    """Sum of the absolute differences of deltas."""

    operates_on: Literal["deltas"] = "deltas"

    def __call__(self, prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the loss of ``prediction [P, 4]`` against ``target [P, 4]``, a float32 sum."""
        return _weighted_sum(functional.l1_loss(prediction, target, reduction="none").sum(-1), weights)


@LOSSES.register()
class SmoothL1Loss:
    """Quadratic within ``beta``, linear outside (Girshick, Fast R-CNN, 2015, equation 3, with its bend at beta).

    Args:
        beta: where the bend is; 0 is L1.

    Raises:
        ValueError: a negative beta.
    """

    operates_on: Literal["deltas"] = "deltas"

    def __init__(self, beta: float = 0.1) -> None:
        if beta < 0:
            raise ValueError(f"beta expects a number >= 0, got {beta}")
        self.beta = beta

    def __call__(self, prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the loss of ``prediction [P, 4]`` against ``target [P, 4]``, a float32 sum."""
        return _weighted_sum(functional.smooth_l1_loss(prediction, target, reduction="none", beta=self.beta).sum(-1), weights)


class _OverlapLoss:
    """One minus a kind of IoU of decoded boxes."""

    operates_on: Literal["boxes"] = "boxes"
    function: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return the loss of ``prediction [P, 4]`` against ``target [P, 4]`` (xyxy boxes), a float32 sum."""
        return _weighted_sum(type(self).function(prediction, target), weights)


@LOSSES.register()
class GIoULoss(_OverlapLoss):
    """1 - GIoU (Rezatofighi et al., CVPR 2019) of decoded boxes."""

    function = staticmethod(giou_loss)


@LOSSES.register()
class DIoULoss(_OverlapLoss):
    """1 - DIoU (Zheng et al., AAAI 2020) of decoded boxes."""

    function = staticmethod(diou_loss)


@LOSSES.register()
class CIoULoss(_OverlapLoss):
    """1 - CIoU (Zheng et al., AAAI 2020) of decoded boxes."""

    function = staticmethod(ciou_loss)
