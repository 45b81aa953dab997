"""What a run ran on."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import torch

_PACKAGES = [
    "dettoolkit",
    "torch",
    "torchvision",
    "numpy",
    "fvcore",
    "iopath",
    "Pillow",
    "opencv-python-headless",
    "opencv-python",
    "pycocotools",
    "faster-coco-eval",
    "timm",
    "tensorboard",
    "pydantic",
]


def describe_environment() -> str:
    """Return versions and hardware, a line each: what a bug report needs."""
    rows = {"platform": platform.platform(), "python": platform.python_version()}
    installed = {found.name.lower(): found.version for found in metadata.distributions()}
    rows |= {package: installed[package.lower()] for package in _PACKAGES if package.lower() in installed}
    rows["processors"] = f"{os.cpu_count()} ({platform.processor() or platform.machine()}), {torch.get_num_threads()} threads"
    rows["CUDA"] = f"{torch.version.cuda or 'not in this build of torch'}; {torch.cuda.device_count()} GPUs"
    rows |= {f"GPU {index}": torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
