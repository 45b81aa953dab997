"""Which parameters are decayed how much."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from dettoolkit.errors import TrainingError

# _NormBase: batch norm (SyncBatchNorm too) and instance norm; subclasses, as timm's, count as well
_NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


def parameter_groups(
    model: nn.Module, weight_decay: float, weight_decay_norm: float | None, weight_decay_bias: float | None
) -> list[dict[str, Any]]:
    """Return the optimizer's groups: every parameter that is not frozen stands in exactly one of them.

    ``norms`` are the parameters of normalisation layers (batch, sync-batch, instance, group, layer and RMS norm and their
    subclasses) and every other vector or scalar that is no bias, such as learned scales; ``biases`` are the remaining
    parameters called ``bias`` or ``..._bias``; ``weights`` are the rest.

    Args:
        model: the parameters' owner, on its device and frozen where it shall be.
        weight_decay: of the weights.
        weight_decay_norm: of the norms; None: as the weights.
        weight_decay_bias: of the biases; None: as the weights.

    Returns:
        Groups with ``params``, ``weight_decay`` and ``name``; empty ones are left out.

    Raises:
        TrainingError: every parameter is frozen.
    """
    of_norms = {id(p) for module in model.modules() if isinstance(module, _NORMS) for p in module.parameters(recurse=False)}
    decays = {
        "weights": weight_decay,
        "norms": weight_decay if weight_decay_norm is None else weight_decay_norm,
        "biases": weight_decay if weight_decay_bias is None else weight_decay_bias,
    }
    members: dict[str, list[nn.Parameter]] = {kind: [] for kind in decays}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            members["norms" if id(parameter) in of_norms else _kind(name, parameter)].append(parameter)
    if not any(members.values()):
        raise TrainingError("every parameter of the model is frozen: there is nothing to train")
    return [{"params": members[kind], "weight_decay": decays[kind], "name": kind} for kind in decays if members[kind]]


def _kind(name: str, parameter: nn.Parameter) -> str:
    if parameter.ndim > 1:
        return "weights"
    return "biases" if name.endswith("bias") else "norms"


def fused_where_possible(model: nn.Module) -> bool | None:
    """Return ``fused`` for a torch optimizer: one kernel for all parameters where there is one, torch's choice elsewhere."""
    devices = {parameter.device.type for parameter in model.parameters()}
    return True if devices <= {"cpu", "cuda", "mps"} else None


def describe_groups(optimizer: Optimizer) -> str:
    """Return one line for the log: the groups with their sizes and weight decays."""
    parts = []
    for index, group in enumerate(optimizer.param_groups):
        size = sum(parameter.numel() for parameter in group["params"])
        name = group.get("name", f"group {index}")
        parts.append(f"{name}: {len(group['params'])} tensors, {size:,} values, weight decay {group['weight_decay']:g}")
    return "; ".join(parts)
