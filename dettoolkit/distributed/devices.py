"""The device of a process, and whether there are enough of them."""

from __future__ import annotations

import os

import torch

from dettoolkit.distributed.collectives import local_rank
from dettoolkit.distributed.process_group import under_launcher
from dettoolkit.errors import DistributedError


def process_device(device: str = "auto", named: str = "MODEL.DEVICE") -> torch.device:
    """Return the device of this process.

    Args:
        device: ``"cpu"``, ``"cuda"`` (the GPU with the number of the process on its machine), ``"cuda:N"``, ``"mps"``, or
            ``"auto"``: the first of CUDA, MPS and CPU that there is.
        named: what messages call the setting.

    Raises:
        DistributedError: no such device on this machine.
    """
    if device == "auto":
        device = _best_kind()
    try:
        wanted = torch.device(device)
    except RuntimeError:
        raise DistributedError(f"{named}: expected auto, cpu, cuda, cuda:N or mps, got {device!r}") from None
    if wanted.type == "cuda":
        index = local_rank() if wanted.index is None else wanted.index
        if index >= torch.cuda.device_count():
            raise DistributedError(
                f"{named} {device}: process {local_rank()} of this machine needs GPU {index}, and torch sees "
                f"{_counted(torch.cuda.device_count())}. {named} cpu needs none."
            )
        return torch.device("cuda", index)
    if wanted.type == "mps" and not torch.backends.mps.is_available():
        raise DistributedError(f"{named} mps: torch finds no Metal device here. {named} cpu always works.")
    return wanted


def picks_at_once(device: torch.device) -> bool:
    """Return whether picking rows by a mask costs no waiting on ``device``: it does not on the CPU.

    How many rows a mask picks, an accelerator knows only after all that it was given before, and the host would wait for it;
    there, a training step computes on all rows and gives those that do not count weight 0.
    """
    return device.type == "cpu"


def check_num_devices(num_gpus: int, device: str = "auto") -> None:
    """Check, before any process starts, that this machine has a device for each of ``num_gpus`` processes.

    Raises:
        DistributedError: it has fewer GPUs; both numbers are named, and what to do.
    """
    if num_gpus < 1:
        raise DistributedError(f"--num-gpus: expected at least 1, got {num_gpus}. MODEL.DEVICE cpu trains without a GPU.")
    if device == "cpu" or num_gpus == 1:
        return
    if device not in ("auto", "cuda"):
        raise DistributedError(f"--num-gpus {num_gpus}: MODEL.DEVICE {device} is one device. Use auto, cuda or cpu.")
    if num_gpus > torch.cuda.device_count():
        raise DistributedError(
            f"--num-gpus {num_gpus}: torch sees {_counted(torch.cuda.device_count())} on this machine. "
            f"Ask for no more than that, or set MODEL.DEVICE cpu to train with {num_gpus} processes on the CPU."
        )


def share_threads(device: torch.device) -> None:
    """Divide the CPU cores among the processes of this machine, unless ``OMP_NUM_THREADS`` says otherwise.

    Without it each of N processes on the CPU would start as many threads as there are cores, and wait for the others.
    """
    if device.type == "cpu" and under_launcher() and "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def _best_kind() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() and not under_launcher() else "cpu"  # no collectives on MPS


def _counted(num_gpus: int) -> str:
    return "1 GPU" if num_gpus == 1 else f"{num_gpus or 'no'} GPUs"
