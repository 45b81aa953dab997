"""What a network computes in: float32, or autocast to fewer bits where the device can."""

from __future__ import annotations

from typing import Literal

import torch

from dettoolkit.errors import ConfigError, did_you_mean

Precision = Literal["auto", "fp32", "bf16", "fp16"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_dtype(precision: str, trained_in: str, device: torch.device) -> torch.dtype | None:
    """Return what to autocast to, or None for float32.

    Args:
        precision: ``fp32``, ``bf16``, ``fp16``, or ``auto``: as ``trained_in`` says, if the device can.
        trained_in: ``SOLVER.AMP``.
        device: that computes.

    Raises:
        ConfigError: there is no such precision, or the device cannot do it.
    """
    if precision not in (known := ("auto", "fp32", *_DTYPES)):
        raise ConfigError(f"precision: expected auto, fp32, bf16 or fp16, got {precision!r}.{did_you_mean(precision, known)}")
    dtype = _DTYPES.get(trained_in if precision == "auto" else precision)
    if dtype is None or _can_autocast(device, dtype):
        return dtype
    if precision == "auto":
        return None
    raise ConfigError(f"precision: {precision} is not supported on {device}; fp32 always is.")


def _can_autocast(device: torch.device, dtype: torch.dtype) -> bool:
    if device.type == "cuda":
        return dtype is torch.float16 or torch.cuda.is_bf16_supported()
    return device.type == "cpu" and dtype is torch.bfloat16
