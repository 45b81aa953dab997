"""Rows of what there is on GPUs alone: the Triton kernel of focal loss against the bandwidth of the memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from unittest import mock

import torch
from torch import Tensor

from benchmarks.speed.dense_rows import compiled_focal_loss, focal_example, gradient_of, torchvision_focal_loss
from benchmarks.speed.timing import Row
from dettoolkit.modeling.losses import sigmoid_focal_loss
from dettoolkit.modeling.losses.kernels import ENVIRONMENT_VARIABLE

IMAGES = 16


def focal_loss_kernel(device: torch.device) -> Iterator[Row]:
    """Yield focal loss, forward and backward, of 16 images in float32 and bfloat16, over a copy of as many bytes.

    The copy reads what the loss has to read, the logits, and writes as much as it has to write, their gradient: one over
    the ratio is the share of the copy's bandwidth that is reached. Labels, 1 % of the bytes, are not counted.

    Without a CUDA device there is no row, which is said.

    Raises:
        SystemExit: a CUDA device is asked for, and there is none.
    """
    if device.type != "cuda":
        print(f"\nleft out: focal_loss_kernel measures the Triton kernel on a CUDA device, got {device}: --device cuda")
        return
    if not torch.cuda.is_available():
        raise SystemExit(f"focal_loss_kernel: torch {torch.__version__} finds no CUDA device on this machine")
    for dtype in (torch.float32, torch.bfloat16):
        yield _row(device, dtype)
        torch.compiler.reset()


def _row(device: torch.device, dtype: torch.dtype) -> Row:
    logits, labels = focal_example(IMAGES, device, dtype)
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "dettoolkit, Triton": partial(_forced, "triton"),
        "dettoolkit, eager": partial(_forced, "eager"),
        **compiled_focal_loss(device),
        "torchvision": torchvision_focal_loss,
    }
    contestants = {name: partial(gradient_of, loss, logits, labels) for name, loss in losses.items()}

    def difference() -> float:
        return float((contestants["dettoolkit, Triton"]() - contestants["dettoolkit, eager"]()).abs().max())

    copied = torch.empty_like(logits, requires_grad=False)
    moved = 2 * logits.numel() * logits.element_size() / 1e9
    title = f"focal loss with its targets, {list(logits.shape)}, {dtype}, {moved:.2f} GB read and written"
    tolerance = 1e-5 if dtype == torch.float32 else 2**-8  # a slope of one, rounded
    return Row(title, {**contestants, "a copy": partial(copied.copy_, logits.detach())}, difference, tolerance)


def _forced(implementation: str, logits: Tensor, labels: Tensor) -> Tensor:
    with mock.patch.dict(os.environ, {ENVIRONMENT_VARIABLE: implementation}):
        return sigmoid_focal_loss(logits, labels)
