"""One replica of the model in each process."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
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


def call_at_last_bucket(replica: nn.Module, call: Callable[[], None]) -> None:
    """Have ``call`` called whenever the last of the gradients is worked out, and only communication is left.

    Gradients are averaged as ever. It can be asked for once.

    Args:
        replica: from :func:`wrap_ddp`; where it is not wrapped, there is no communication and nothing is done.
        call: made in the backward pass, by the thread that does it.
    """

    def reduce(state: None, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
        del state
        if bucket.is_last():
            call()
        return allreduce_hook(everyone, bucket)

    if isinstance(replica, DistributedDataParallel):
        everyone = replica.process_group
        reduce.__annotations__.clear()  # DDP compares them with classes, and here they are strings
        replica.register_comm_hook(None, reduce)
