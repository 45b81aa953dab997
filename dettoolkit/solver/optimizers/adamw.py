"""AdamW."""

from __future__ import annotations

import torch
from torch import nn

from dettoolkit.registry import OPTIMIZERS
from dettoolkit.solver.parameter_groups import fused_where_possible, parameter_groups


@OPTIMIZERS.register()
class AdamW(torch.optim.AdamW):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101).

    Norms and biases are not decayed by default: with decay 0.05 it would pull the scales of normalisation layers to zero.

    Args:
        model: whose parameters are trained; on its device already.
        lr: learning rate.
        betas: decay of the running means of the gradient and of its square.
        eps: added to the root of the mean square.
        weight_decay: of the weights; each step takes ``lr * weight_decay`` of them away.
        weight_decay_norm: of normalisation layers and other vectors; null: as the weights.
        weight_decay_bias: of biases; null: as the weights.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.05,
        weight_decay_norm: float | None = 0.0,
        weight_decay_bias: float | None = 0.0,
    ) -> None:
        groups = parameter_groups(model, weight_decay, weight_decay_norm, weight_decay_bias)
        super().__init__(groups, lr=lr, betas=betas, eps=eps, fused=fused_where_possible(model))
