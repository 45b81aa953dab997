"""The Triton kernel: its numbers on a CUDA device or in Triton's interpreter, and that it compiles for devices of today."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

if importlib.util.find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

CASES = Path(__file__).with_name("kernel_cases.py")

# Compiles what a loss would launch, for a device that need not be there: what the interpreter lets pass, the compiler may
# refuse. A stand-in for the driver says which device it is.
COMPILING = """
import sys
import torch
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from dettoolkit.modeling.losses import FocalLoss, FocalStarLoss, HingeLoss, QualityFocalLoss, VarifocalLoss
from dettoolkit.modeling.losses.kernels import triton_pass


class Device:
    def get_current_target(self):
        return GPUTarget("cuda", int(sys.argv[1]), 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


class CompiledOnly:
    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, grid):
        return lambda *given, **known: print(len(self.kernel.warmup(*given, grid=grid, **known).asm["ptx"]))


driver.set_active(Device())
for name in ("_losses_and_gradient_kernel", "_scale_kernel"):
    setattr(triton_pass, name, CompiledOnly(getattr(triton_pass, name)))
labels, ones = torch.zeros(2, 90, dtype=torch.int64)[:, 30:60], torch.ones(2, 30)
for loss, dtype, classes in (
    (FocalLoss(), torch.float32, 80),
    (FocalLoss(None, 0.5), torch.float16, 91),
    (FocalStarLoss(), torch.float32, 1),
    (FocalLoss([0.25] * 20), torch.float32, 20),
    (HingeLoss(), torch.float16, 3),
    (QualityFocalLoss(2.5), torch.bfloat16 if int(sys.argv[1]) >= 80 else torch.float32, 20),
    (VarifocalLoss(), torch.float32, 1203),
):
    logits = torch.zeros(2, 30, classes, dtype=dtype, requires_grad=True)
    loss(logits, labels, ones[:, :1].expand(2, 30), ones).backward()
    loss(logits.detach(), labels, None, ones, by_anchor=True)
"""


def test_the_kernel_is_the_reference() -> None:
    environment = os.environ if torch.cuda.is_available() else {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-m", "pytest", str(CASES), "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("capability", [75, 90])
def test_the_kernels_compile(capability: int, tmp_path: Path) -> None:
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "DETTOOLKIT_LOSS_IMPLEMENTATION": "triton"}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, "-W", "error::UserWarning", "-c", COMPILING, str(capability)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    sizes = [int(size) for size in done.stdout.split()]
    assert len(sizes) == 7 + 7 + 5  # with and without gradient; float16 is scaled by torch, an anchor at a time
    assert min(sizes) > 1000
