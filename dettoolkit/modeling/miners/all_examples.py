"""No mining."""

from __future__ import annotations

import torch
from torch import Tensor

from dettoolkit.registry import MINERS


@MINERS.register()
class AllExamples:
    """Every example counts: what focal loss is made for (RetinaNet, section 3).

    The criterion sees ``takes_all`` and computes the loss a level at a time, without calling the miner.
    """

    takes_all = True

    def __call__(self, loss: Tensor, labels: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return weight 1 for each of ``[R]`` examples, and the number of positives."""
        return torch.ones_like(loss), (labels >= 0).sum()
