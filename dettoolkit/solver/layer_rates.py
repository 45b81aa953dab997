"""Learning rates of their own for parts of the model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from dettoolkit.errors import ConfigError
from dettoolkit.solver.name_patterns import matching

logger = logging.getLogger(__name__)


def set_layer_rates(
    optimizer: Optimizer, model: nn.Module, rates: Sequence[Mapping[str, Any]], key: str = "SOLVER.LAYER_RATES"
) -> None:
    """Split the optimizer's groups, so that each parameter has its factor of the learning rate, and log what was found.

    Groups with the full rate come first, in their order; then, for each factor, a group for each of those that have such
    parameters, with all its other settings.

    Args:
        optimizer: of the model, before its first step.
        model: the parameters' owner.
        rates: mappings with ``PATTERN``, see :func:`matching`, and ``FACTOR``; the last one that matches a name decides.
        key: where they stand in the config, for messages.

    Raises:
        ConfigError: a pattern matches no parameter, or none that is trained.
    """
    if not rates:
        return
    parameters, factors = dict(model.named_parameters()), {}
    for index, rate in enumerate(rates):
        pattern, factor = rate["PATTERN"], float(rate["FACTOR"])
        trained = [parameters[name] for name in matching(model, pattern, f"{key}.{index}") if parameters[name].requires_grad]
        if not trained:
            raise ConfigError(f"{key}.{index}: {pattern!r} matches frozen parameters only: they have no learning rate.")
        factors.update({id(parameter): factor for parameter in trained})
        size = sum(parameter.numel() for parameter in trained)
        logger.info("%s %s: %d tensors, %s values at %g of the rate", key, pattern, len(trained), f"{size:,}", factor)
    groups = list(optimizer.param_groups)
    optimizer.param_groups.clear()
    for factor in sorted({1.0, *factors.values()}, key=lambda each: (each != 1, -each)):
        for group in groups:
            members = [parameter for parameter in group["params"] if factors.get(id(parameter), 1.0) == factor]
            if members:
                suffix = "" if factor == 1 else f" at {factor:g}"
                name = {"name": f"{group['name']}{suffix}"} if "name" in group else {}
                optimizer.add_param_group({**group, **name, "params": members, "lr": group["lr"] * factor})


def parameter_names(optimizer: Optimizer, model: nn.Module) -> list[list[str]]:
    """Return the names of the parameters of each group: what the state of an optimizer only numbers."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [[names.get(id(parameter), "") for parameter in group["params"]] for group in optimizer.param_groups]
