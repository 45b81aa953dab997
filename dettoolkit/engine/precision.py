"""Autocast by the name that ``SOLVER.AMP`` has for it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

Amp: TypeAlias = Literal["none", "bf16", "fp16"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, amp: Amp) -> torch.autocast:
    """Return the context in which a network runs on ``device`` in the precision ``amp``; ``"none"`` changes nothing."""
    return torch.autocast(device.type, dtype=_DTYPES.get(amp, torch.bfloat16), enabled=amp != "none")
