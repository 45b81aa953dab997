"""Distribution focal loss: where the sides of a box are, as a distribution over bins."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dettoolkit.registry import LOSSES


@LOSSES.register()
class DistributionFocalLoss:
    """Distribution focal loss (Li et al., "Generalized Focal Loss", NeurIPS 2020, equation 6), summed over the sides.

    ``DFL = -((y_r - y) log(S_l) + (y - y_l) log(S_r))``, where S is the softmax over the bins and y_l and y_r = y_l + 1 are
    the bins on both sides of the target y. It is smallest where the distribution is on these two and has y as its mean.

    A second box loss: it sharpens the distribution, a loss on boxes draws its mean.
    """

    operates_on: Literal["distribution"] = "distribution"

    def __call__(self, prediction: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        """Return a float32 sum (float64 stays).

        Args:
            prediction: ``[P, 4, n + 1]`` logits of the bins 0..n of each side, of any float dtype.
            target: ``[P, 4]`` distances in bins; what lies outside of 0..n counts as its nearest bin.
            weights: ``[P]`` weight of each box, without gradient; None for 1.

        Raises:
            ValueError: the shapes do not agree, or there are fewer than two bins.
        """
        if prediction.shape[:-1] != target.shape or prediction.shape[-1] < 2:
            raise ValueError(
                "expected logits [P, 4, n + 1] of two bins or more and targets [P, 4], "
                f"got {list(prediction.shape)} and {list(target.shape)}"
            )
        log_probability = prediction.to(torch.promote_types(prediction.dtype, torch.float32)).log_softmax(-1)
        last = prediction.shape[-1] - 1
        y = target.to(log_probability.dtype).clamp(0, last)
        left = y.floor().clamp(max=last - 1)  # the last bin is a right one only
        pair = torch.stack([left, left + 1], dim=-1).long()  # [P, 4, 2]
        shares = torch.stack([left + 1 - y, y - left], dim=-1)
        losses = -(log_probability.gather(-1, pair) * shares).sum((-2, -1))
        return (losses if weights is None else losses * weights).sum()
