"""From a detector to a graph whose batch, height and width are open."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from dettoolkit.errors import ConfigError
from dettoolkit.export.exportable import ExportableDetector


def trace(detector: ExportableDetector, divisibility: int) -> ExportedProgram:
    """Return the graph of a detector.

    Args:
        detector: in evaluation mode, on the CPU.
        divisibility: height and width of its images are multiples of it.

    Raises:
        ConfigError: a part decides by what is in its tensors, or by their sizes; the message names it.
    """
    unit = divisibility * -(-32 // divisibility)  # sides that no level of a pyramid makes equal, or one pixel
    images = torch.zeros(2, detector.model.normalization.num_channels, 3 * unit, 5 * unit, dtype=torch.uint8)
    image_sizes = torch.tensor([[3 * unit - 3, 5 * unit], [3 * unit, 5 * unit - 7]])
    batch, rows, columns = (Dim(name, min=1) for name in ("batch", "rows", "columns"))
    shapes = ({0: batch, 2: divisibility * rows, 3: divisibility * columns}, {0: batch})
    reached: list[str] = []
    try:
        with _parts_noted(detector.model, reached):
            return _export(detector, (images, image_sizes), shapes, strict=False)
    except Exception as error:  # torch's own share no class
        first = error
    try:  # reads the source of forward() instead of running it, which takes int() and len() of open sizes
        return _export(detector, (images, image_sizes), shapes, strict=True)
    except Exception:
        part = reached[-1] if reached else "the detector"
        raise ConfigError(f"{part} cannot be exported: {_brief(first)}") from first


def _export(detector: nn.Module, inputs: tuple[Any, ...], shapes: Any, strict: bool) -> ExportedProgram:
    from torch.fx.experimental import _config

    settings: Any = _config
    # otherwise whatever is asked of a size that may be 1 closes the dimension, or bounds it
    with settings.patch(backed_size_oblivious=True), torch.no_grad(), warnings.catch_warnings():
        # torchvision's own declaration of nms
        warnings.filterwarnings("ignore", message=r".*create_unbacked_symint. is deprecated", category=FutureWarning)
        return torch.export.export(detector, inputs, dynamic_shapes=shapes, strict=strict)


@contextmanager
def _parts_noted(model: nn.Module, reached: list[str]) -> Iterator[None]:
    """Keep in ``reached`` the part that is running: after an error, the one that it came from."""
    handles = []
    for name, part in model.named_children():
        words = f"{name} ({type(part).__name__})"
        handles.append(part.register_forward_pre_hook(lambda *_, words=words: reached.append(words)))  # type: ignore[misc]
        handles.append(part.register_forward_hook(lambda *_: reached.clear()))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _brief(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])[:400]}"
