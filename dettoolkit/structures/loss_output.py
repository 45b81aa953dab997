"""LossOutput: what a model returns when it is given targets."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class LossOutput:
    """Losses to minimise and numbers to look at, kept apart.

    Args:
        losses: name -> scalar, weighted; their sum is minimised.
        metrics: name -> scalar without gradient; only shown.
    """

    losses: dict[str, Tensor]
    metrics: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """The sum of the losses, a scalar."""
        return torch.stack(list(self.losses.values())).sum()
