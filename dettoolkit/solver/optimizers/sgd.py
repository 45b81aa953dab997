"""SGD."""

from __future__ import annotations

import torch
from torch import nn

from dettoolkit.registry import OPTIMIZERS
from dettoolkit.solver.parameter_groups import fused_where_possible, parameter_groups


@OPTIMIZERS.register()
class SGD(torch.optim.SGD):
    """Stochastic gradient descent with momentum.

    Args:
        model: whose parameters are trained; on its device already.
        lr: learning rate.
        momentum: share of the last step that is kept.
        nesterov: look ahead by the momentum.
        weight_decay: L2 decay of the weights.
        weight_decay_norm: of normalisation layers and other vectors; null: as the weights.
        weight_decay_bias: of biases; null: as the weights.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        momentum: float = 0.9,
        nesterov: bool = False,
        weight_decay: float = 1e-4,
        weight_decay_norm: float | None = None,
        weight_decay_bias: float | None = None,
    ) -> None:
        groups = parameter_groups(model, weight_decay, weight_decay_norm, weight_decay_bias)
        super().__init__(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=fused_where_possible(model))
        if momentum:  # a fused first step that is left out, as gradient scaling does, would keep what it found in the memory
            for parameter in (parameter for group in self.param_groups for parameter in group["params"]):
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
