"""What processes tell each other. Everything works in one process too, where it costs nothing.

Each function but the first four is a collective: all processes must call it, in the same order.
"""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dettoolkit.distributed.process_group import host_group


def rank() -> int:
    """Return the number of this process, 0 to ``world_size() - 1``; 0 before :func:`initialize`."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of processes; 1 before :func:`initialize`."""
    return dist.get_world_size() if dist.is_initialized() else 1


def local_rank() -> int:
    """Return the number of this process on its machine, which is also the index of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_main_process() -> bool:
    """Return whether this process is the one that writes files and speaks to the user."""
    return rank() == 0


def barrier() -> None:
    """Wait until all processes are here."""
    if world_size() > 1:
        dist.barrier(group=host_group())


def sum_over_processes(tensor: Tensor) -> Tensor:
    """Return the sum of every process's ``tensor``, elementwise: a new tensor without gradient, the same everywhere.

    Args:
        tensor: any shape, equal in all processes; on the CPU or on the device of the process.
    """
    total = tensor.detach().clone()
    if world_size() > 1:
        dist.all_reduce(total, group=host_group() if total.device.type == "cpu" else None)
    return total


class _Sum(torch.autograd.Function):
    """The sum, through which the gradient flows: each process's tensor is in the sums of all."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        del ctx
        return sum_over_processes(tensor)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:  # type: ignore[override]
        del ctx
        return sum_over_processes(upstream)


def sum_with_gradient(tensor: Tensor) -> Tensor:
    """Return the sum of every process's ``tensor``, elementwise, with its gradient: the sum of every process's.

    The backward pass communicates too: all processes must run it, through the same sums in the same order.

    Args:
        tensor: any shape, equal in all processes; on the CPU or on the device of the process.
    """
    return _Sum.apply(tensor)


def mean_over_processes(tensor: Tensor) -> Tensor:
    """Return the mean of every process's ``tensor``, elementwise: a new tensor without gradient, the same everywhere.

    Args:
        tensor: any shape, equal in all processes; on the CPU or on the device of the process. Integers give floats.
    """
    return sum_over_processes(tensor) / world_size()


def max_over_processes(tensor: Tensor) -> Tensor:
    """Return the largest of every process's ``tensor``, elementwise: a new tensor without gradient, the same everywhere.

    Args:
        tensor: any shape, equal in all processes; on the CPU or on the device of the process, which is not waited for.
    """
    largest = tensor.detach().clone()
    if world_size() > 1:
        dist.all_reduce(largest, op=dist.ReduceOp.MAX, group=host_group() if largest.device.type == "cpu" else None)
    return largest


def gather_objects(obj: Any, dst: int = 0) -> list[Any] | None:
    """Return every process's ``obj`` in the order of ranks to process ``dst``, and None to the others."""
    if world_size() == 1:
        return [obj]
    gathered: list[Any] | None = [None] * world_size() if rank() == dst else None
    dist.gather_object(obj, gathered, dst=dst, group=host_group())
    return gathered


def broadcast_object(obj: Any, src: int = 0) -> Any:
    """Return the ``obj`` of process ``src`` to all; what the others pass is ignored."""
    if world_size() == 1:
        return obj
    box = [obj]
    dist.broadcast_object_list(box, src=src, group=host_group())
    return box[0]


def any_process(flag: bool) -> bool:
    """Return whether ``flag`` is true in at least one process; the answer is the same everywhere."""
    return flag if world_size() == 1 else bool(sum_over_processes(torch.tensor(int(flag))) > 0)


def all_agree(flag: bool) -> bool:
    """Return whether ``flag`` is true in every process; the answer is the same everywhere."""
    return not any_process(not flag)
