"""Parameters that are not trained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from dettoolkit.solver.name_patterns import matching

logger = logging.getLogger(__name__)


def freeze(model: nn.Module, patterns: Sequence[str], key: str = "MODEL.FREEZE") -> None:
    """Freeze the parameters with these names, and log how many each pattern has found.

    Norms of which nothing is trained any more keep their running statistics too, and use them: they stay in evaluation mode
    whatever mode the model is set to.

    Args:
        model: not wrapped yet, and before its optimizer is made.
        patterns: see :func:`matching`.
        key: where they stand in the config, for messages.

    Raises:
        ConfigError: a pattern matches nothing.
    """
    parameters = dict(model.named_parameters())
    for pattern in patterns:
        names = matching(model, pattern, key)
        for name in names:
            parameters[name].requires_grad_(False)
        size = sum(parameters[name].numel() for name in names)
        logger.info("%s %s: %d tensors, %s values are not trained", key, pattern, len(names), f"{size:,}")
    kept = [name for name, module in model.named_modules() if _is_frozen_norm(name, module, patterns)]
    for name in kept:
        module = model.get_submodule(name).eval()
        module.train = _stays_in_evaluation_mode  # type: ignore[assignment]
    if kept:
        logger.info("%s: %d norms keep their statistics", key, len(kept))


def _is_frozen_norm(name: str, module: nn.Module, patterns: Sequence[str]) -> bool:
    if not isinstance(module, _NormBase) or not module.track_running_stats:
        return False
    own = [f"{name}.{own}" for own, _ in module.named_parameters(recurse=False)] or [f"{name}.running_mean"]
    is_meant = any(fnmatchcase(each, pattern) for each in own for pattern in patterns)
    return is_meant and not any(parameter.requires_grad for parameter in module.parameters())


def _stays_in_evaluation_mode(mode: bool = True) -> None:
    """What a frozen norm does when its model is set to training mode."""
