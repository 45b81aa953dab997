"""Norms with fixed statistics, multiplied into the convolutions before them: the same function in fewer passes."""

from __future__ import annotations

import copy
import logging
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dettoolkit.modeling.layers import FrozenBatchNorm2d

logger = logging.getLogger(__name__)

_PARTS = ("backbone", "neck", "head")


class _Tracer(fx.Tracer):
    """Looks into all modules but those that are folded or folded into."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (nn.Conv2d, nn.BatchNorm2d, FrozenBatchNorm2d))


def with_folded_norms(model: Any) -> Any:
    """Return a copy of a detector without the norms that follow a convolution, or the detector itself where there are none.

    For inference only: running statistics and affine parameters become part of the weights. Which norm follows which
    convolution is read from what the parts do, not from names, so a norm is left alone where the convolution's map goes
    elsewhere too or either is used twice (a head that is shared by levels). So are all norms of a part that cannot be traced.

    Args:
        model: in evaluation mode; its ``backbone``, ``neck`` and ``head`` are looked at.
    """
    pairs = {name: _pairs(getattr(model, name)) for name in _PARTS if isinstance(getattr(model, name, None), nn.Module)}
    if not any(pairs.values()):
        return model
    folded = copy.deepcopy(model)
    for name, of_part in pairs.items():
        for convolution, norm in of_part:
            _fold(getattr(folded, name), convolution, norm)
    logger.debug("norms folded into convolutions: %d", sum(map(len, pairs.values())))
    return folded


def _pairs(part: nn.Module) -> list[tuple[str, str]]:
    """Return the names of convolutions and of the norms that alone use what they give."""
    if not any(_is_fixed(module) for module in part.modules()):
        return []
    try:
        graph = _Tracer().trace(part)
    except Exception as error:  # whatever a forward pass does with a symbol instead of a tensor
        logger.debug("norms of %s stay: it cannot be traced (%s)", type(part).__name__, error)
        return []
    calls = [node for node in graph.nodes if node.op == "call_module"]
    targets = [node.target for node in calls]
    pairs = []
    for norm in calls:
        before = norm.args[0] if norm.args else None
        if (
            isinstance(before, fx.Node)
            and before.op == "call_module"
            and len(before.users) == 1
            and targets.count(norm.target) == targets.count(before.target) == 1
            and isinstance(part.get_submodule(str(before.target)), nn.Conv2d)
            and _is_fixed(part.get_submodule(str(norm.target)))
        ):
            pairs.append((str(before.target), str(norm.target)))
    return pairs


def _is_fixed(module: nn.Module) -> bool:
    if isinstance(module, nn.BatchNorm2d):
        return not module.training and module.running_mean is not None
    return isinstance(module, FrozenBatchNorm2d)


@torch.no_grad()
def _fold(part: nn.Module, convolution_name: str, norm_name: str) -> None:
    convolution: Any = part.get_submodule(convolution_name)
    norm: Any = part.get_submodule(norm_name)
    weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    convolution.weight, convolution.bias = _constant(weight), _constant(bias)
    owner, _, name = norm_name.rpartition(".")
    setattr(part.get_submodule(owner), name, nn.Identity())


def _constant(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value.detach(), requires_grad=False)
