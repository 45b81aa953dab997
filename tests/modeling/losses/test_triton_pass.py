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

# compiles for a device that need not be there; what the interpreter lets pass, the compiler may refuse
COMPILING = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from dettoolkit.modeling.losses.kernels import triton_pass

def ptx_of(kernel, capability, **known):
    pointers = dict.fromkeys("weights quality losses sums factor".split(), "fp32") | dict(labels="i64")
    pointers |= dict.fromkeys(("logits", "gradient"), known.pop("dtype"))
    types = {
        name: "constexpr" if name in known else f"*{pointers[name]}" if name in pointers else "i64"
        for name in kernel.arg_names
    }
    source = ASTSource(fn=kernel, signature=types, constexprs={name: known[name] for name in types if name in known})
    return compile(source, target=GPUTarget("cuda", capability, 32), options={"enable_fp_fusion": True}).asm["ptx"]


def both(dtype, kind, classes, capability):
    block = triton_pass._block_classes(classes)
    yield ptx_of(
        triton_pass._losses_and_gradient_kernel, capability, dtype=dtype, KIND=kind, FIRST=0.75, SECOND=2.0,
        POSITIVE_WEIGHT=0.25, NEGATIVE_WEIGHT=0.75, GRADIENT_SCALE=1.0, HAS_WEIGHTS=True,
        HAS_QUALITY=kind in ("quality", "varifocal"), BY_ANCHOR=classes == 80, WITH_GRADIENT=True, NUM_CLASSES=classes,
        BLOCK_ROWS=2048 // block, BLOCK_CLASSES=block, logits_k=1,
    )
    yield ptx_of(triton_pass._scale_kernel, capability, dtype=dtype, PER_PROGRAM=65536, BLOCK=2048)


for variant in (("fp32", "focal", 80, 80), ("bf16", "quality", 91, 90), ("fp16", "varifocal", 3, 75)):
    print(*(len(ptx) for ptx in both(*variant)))
"""


def test_the_kernel_is_the_reference() -> None:
    environment = os.environ if torch.cuda.is_available() else {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-m", "pytest", str(CASES), "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.slow
def test_the_kernels_compile(tmp_path: Path) -> None:
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run([sys.executable, "-c", COMPILING], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    sizes = [int(size) for size in done.stdout.split()]
    assert len(sizes) == 6
    assert min(sizes) > 1000
