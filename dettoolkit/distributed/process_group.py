"""Joining and leaving the group of processes that train together."""

from __future__ import annotations

import logging
import os
import socket
from datetime import timedelta
from functools import cache

import torch
import torch.distributed as dist

from dettoolkit.errors import DistributedError

logger = logging.getLogger(__name__)


def initialize(device: torch.device, timeout: timedelta = timedelta(minutes=10)) -> None:
    """Join the group that the launcher (ours or ``torchrun``) describes in the environment; alone, do nothing.

    CUDA devices talk over NCCL, all others over gloo. Each process first logs host, rank, device and address, so that
    a start that hangs shows which process is missing.

    Args:
        device: where the model of this process lives.
        timeout: how long a process waits for the others, at the start and in each collective.

    Raises:
        DistributedError: the other processes did not appear in time, or the address cannot be reached.
    """
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        return
    address = f"{os.environ.get('MASTER_ADDR', '?')}:{os.environ.get('MASTER_PORT', '?')}"
    place = f"rank {os.environ.get('RANK', '?')} of {os.environ['WORLD_SIZE']} on {socket.gethostname()} ({device})"
    logger.info("%s joins the processes at %s", place, address)
    on_cuda = device.type == "cuda"
    if on_cuda:
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("nccl" if on_cuda else "gloo", timeout=timeout, device_id=device if on_cuda else None)
    except (dist.DistError, RuntimeError, ValueError) as error:
        raise DistributedError(
            f"{place} did not find all others at {address} within {timeout}: {error}. Each process logs its own line "
            "'rank ... joins': the ranks without such a line are missing. Check that every machine was started with its own "
            "--machine-rank and that the address can be reached from it."
        ) from error


def destroy() -> None:
    """Leave the group; alone, do nothing."""
    host_group.cache_clear()
    if dist.is_initialized():
        dist.destroy_process_group()


@cache
def host_group() -> dist.ProcessGroup | None:
    """Return the group for what lies in host memory (Python objects, CPU tensors): gloo, since NCCL knows GPUs only.

    All processes must make the first call together. None stands for the default group.
    """
    return None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")
