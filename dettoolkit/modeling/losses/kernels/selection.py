"""Which implementation computes a loss: the one rule."""

from __future__ import annotations

import functools
import logging
import os
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from dettoolkit.errors import did_you_mean, listed

logger = logging.getLogger(__name__)

Implementation: TypeAlias = Literal["eager", "traced", "triton"]
ENVIRONMENT_VARIABLE = "DETTOOLKIT_LOSS_IMPLEMENTATION"
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def implementation_for(logits: Tensor) -> Implementation:
    """Return the name of the implementation for these logits.

    1. While torch.compile traces: ``traced``, of which the compiler makes one kernel.
    2. What the environment variable DETTOOLKIT_LOSS_IMPLEMENTATION names, for tests and comparisons.
    3. CUDA tensors of float32, bfloat16 or float16: ``triton``, where Triton is installed and the device can run it.
       Where not, this is logged once.
    4. All else: ``eager``.

    Raises:
        ValueError: the environment variable names no implementation, or Triton for what it cannot compute.
    """
    if torch.compiler.is_compiling():
        return "traced"
    wanted = os.environ.get(ENVIRONMENT_VARIABLE)
    if wanted:
        return _forced(wanted, logits)
    if logits.device.type != "cuda" or logits.dtype not in _DTYPES:
        return "eager"
    return "eager" if _why_not_triton(logits.device, logits.dtype) else "triton"


def _forced(wanted: str, logits: Tensor) -> Implementation:
    accepted = get_args(Implementation)
    if wanted not in accepted:
        raise ValueError(
            f"{ENVIRONMENT_VARIABLE} expects one of {listed(accepted)}, got {wanted!r}.{did_you_mean(wanted, accepted)}"
        )
    if wanted == "triton" and logits.dtype not in _DTYPES:
        raise ValueError(f"{ENVIRONMENT_VARIABLE}=triton computes {listed(_DTYPES)}, got logits of {logits.dtype}")
    return wanted  # type: ignore[return-value]


@functools.cache
def _why_not_triton(device: torch.device, dtype: torch.dtype) -> str | None:
    """Return what speaks against Triton on a CUDA device, after logging it; None where it can be used."""
    reason = _missing_triton() or _too_old(device, dtype)
    if reason:
        logger.info("classification losses on %s are computed by eager PyTorch, which is slower: %s", device, reason)
    return reason


def _missing_triton() -> str | None:
    try:
        import triton  # noqa: F401  # seconds, and only where there is a device for it
    except ImportError as error:
        return f"Triton cannot be imported ({error})"
    return None


def _too_old(device: torch.device, dtype: torch.dtype) -> str | None:
    if torch.version.hip is not None:
        return None
    capability, needed = torch.cuda.get_device_capability(device), (8, 0) if dtype == torch.bfloat16 else (7, 0)
    if capability >= needed:
        return None
    return (
        f"Triton needs compute capability {needed[0]}.{needed[1]} for {dtype}, this device has {capability[0]}.{capability[1]}"
    )
