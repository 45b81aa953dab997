"""One replica of the model in each process."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from dettoolkit.distributed.collectives import world_size


def wrap_ddp(model: nn.Module, device: torch.device, find_unused_parameters: bool = False) -> nn.Module:
    """Return ``model`` as ``DistributedDataParallel``, or ``model`` itself in one process.

    Args:
        model: on ``device`` already.
        device: of this process.
        find_unused_parameters: look in each step for parameters without a gradient; costs time.
    """
    if world_size() == 1:
        return model
    return DistributedDataParallel(
        model,
        device_ids=[device.index] if device.type == "cuda" else None,
        find_unused_parameters=find_unused_parameters,
        gradient_as_bucket_view=True,  # one copy of the gradients instead of two
    )
