"""The two kinds of exported file, each written by the library that owns it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.export import ExportedProgram

from dettoolkit.errors import MissingDependencyError
from dettoolkit.export.exportable import OUTPUTS
from dettoolkit.export.suppression import onnx_translation
from dettoolkit.inference.exported_metadata import ENTRY

INPUTS = ("images", "image_sizes")


def check_onnx() -> None:
    """Check that what writes and runs files of ONNX is installed.

    Raises:
        MissingDependencyError: it is not.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"--format onnx needs {error.name}: pip install 'dettoolkit[onnx]'") from error


def write_onnx(program: ExportedProgram, metadata: str, path: Path) -> None:
    """Write a graph as ONNX, everything in one file, with the metadata in its ``metadata_props``."""
    with _quiet():
        written = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            input_names=INPUTS,
            output_names=OUTPUTS,
            custom_translation_table=onnx_translation(),
        )
    assert written is not None
    written.model.metadata_props[ENTRY] = metadata
    written.save(str(path), external_data=False)


def write_torch_export(program: ExportedProgram, metadata: str, path: Path) -> None:
    """Write a graph by ``torch.export.save``, with the metadata among its extra files."""
    with path.open("wb") as file, _quiet():
        torch.export.save(program, file, extra_files={ENTRY: metadata})  # type: ignore[arg-type]


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what exporters say of themselves."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for words in _SAID:
                warnings.filterwarnings("ignore", message=words)
            yield
    finally:
        exporter.setLevel(level)


_SAID = (
    r".*create_unbacked_symint. is deprecated",  # torchvision's own declaration of nms
    r".isinstance\(treespec, LeafSpec\). is deprecated",  # what torch 2.11 does in its own exporter
)
