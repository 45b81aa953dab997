"""Joining and leaving the group of processes that train together."""

from __future__ import annotations

import os
import socket
import sys
from datetime import timedelta
from functools import cache

import torch
import torch.distributed as dist

from dettoolkit.errors import DistributedError


def under_launcher() -> bool:
    """Return whether this process was started as one of a group, by our launcher or by ``torchrun``."""
    return {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def restart_count() -> int:
    """Return how often the launcher has restarted the processes after a failure (``--max-restarts``)."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def initialize(device: torch.device, timeout: timedelta = timedelta(minutes=10)) -> None:
    """Join the group that the launcher describes in the environment; without a launcher, do nothing.

    CUDA devices talk over NCCL, all others over gloo. Each process first says host, rank, device and address on the
    standard error (logging is set up later, when ranks are known), so that a start that hangs shows who is missing.

    Args:
        device: where the model of this process lives.
        timeout: how long a process waits for the others, at the start and in each collective.

    Raises:
        DistributedError: the other processes did not appear in time, or the address cannot be reached.
    """
    if not under_launcher() or dist.is_initialized():
        return
    address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    process = f"rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']} on {socket.gethostname()} ({device})"
    print(f"{process} joins the others at {address}", file=sys.stderr, flush=True)
    on_cuda = device.type == "cuda"
    if on_cuda:
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if on_cuda else "gloo", timeout=timeout, device_id=device if on_cuda else None)
    except (RuntimeError, ValueError) as error:
        raise DistributedError(
            f"{process} did not find all others at {address} within {timeout.total_seconds():g} s: {error}\n"
            "Each process says 'rank ... joins the others' when it starts: the ranks without that line are missing. "
            "Every machine needs its own --machine-rank, the same --num-machines and --dist-url, and a way to that address."
        ) from error


def destroy() -> None:
    """Leave the group; without one, do nothing."""
    host_group.cache_clear()
    if dist.is_initialized():
        dist.destroy_process_group()


@cache
def host_group() -> dist.ProcessGroup | None:
    """Return the group for what lies in host memory (Python objects, CPU tensors): gloo, since NCCL knows GPUs only.

    All processes must make the first call together. None stands for the default group.
    """
    return None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")  # type: ignore[return-value]
