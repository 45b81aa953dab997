"""From a detector to a verified file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from fvcore.common.config import CfgNode
from torch.export import ExportedProgram

from dettoolkit.data.image_form import image_form
from dettoolkit.errors import CheckpointError, ConfigError
from dettoolkit.export.decoding import FixedShapeDecoder, KeepBest
from dettoolkit.export.exportable import ExportableDetector, check_parts
from dettoolkit.export.formats import check_onnx, write_onnx, write_torch_export
from dettoolkit.export.suppression import in_onnx, in_torch
from dettoolkit.export.tracing import trace
from dettoolkit.export.verification import Check, verify
from dettoolkit.inference.exported_detector import ExportedDetector
from dettoolkit.inference.exported_metadata import ExportedMetadata
from dettoolkit.inference.stored_detector import StoredDetector

Write = Callable[[ExportedProgram, str, Path], None]

FORMATS: dict[str, tuple[str, Write, Any]] = {
    "onnx": (".onnx", write_onnx, in_onnx),
    "torch_export": (".pt2", write_torch_export, in_torch),
}


def export_detector(
    stored: StoredDetector,
    path: str | Path,
    format: str,
    nms: Literal["inside", "outside"] = "inside",
    images: Sequence[str | Path] = (),
    on_check: Callable[[Check], object] | None = None,
) -> list[Check]:
    """Write a detector as a file that runs without dettoolkit, run it, and keep it if it finds what the model finds.

    Args:
        stored: the detector; its model is put into evaluation mode.
        path: the file; what is there under this name is only replaced by a file that agrees.
        format: ``onnx`` or ``torch_export``.
        nms: whether the file removes duplicates, or leaves that to whoever runs it.
        images: pictures to compare on; generated ones where there are none.
        on_check: called with each comparison as it comes.

    Returns:
        What was compared; if one of it has a ``differences.problem``, there is no new file.

    Raises:
        ConfigError: a part of the detector cannot be exported; the message names it.
        CheckpointError: the file cannot be written.
        DataError: a picture cannot be read.
        MissingDependencyError: ``onnx`` needs libraries that are not installed.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{FORMATS[format][0]}")
    try:
        write_unverified(stored, temporary, format, nms)
        exported = ExportedDetector.read(temporary, "cpu", trusted=True)  # it is our own
        checks = []
        for check in verify(stored, exported, images):
            checks.append(check)
            if on_check is not None:
                on_check(check)
        if all(check.differences.problem is None for check in checks):
            os.replace(temporary, path)
        return checks
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_unverified(stored: StoredDetector, path: Path, format: str, nms: Literal["inside", "outside"] = "inside") -> None:
    """Write a detector as a file, without asking what it finds; the arguments are those of :func:`export_detector`.

    Raises:
        ConfigError: a part of the detector cannot be exported; the message names it.
        MissingDependencyError: ``onnx`` needs libraries that are not installed.
    """
    _, write, keep_best = FORMATS[format]
    if format == "onnx":
        check_onnx()
    model: Any = stored.model.eval().requires_grad_(False)
    check_parts(model)
    suppress: KeepBest | None = keep_best(model.decoder, stored.info.num_classes) if nms == "inside" else None
    size = int(model.size_divisibility)
    metadata = ExportedMetadata(stored.info, _described(stored.cfg), nms, size, stored.score_thresholds)
    program = trace(ExportableDetector(model, FixedShapeDecoder(model.decoder, suppress)).eval(), size)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(program, metadata.to_json(), path)


def _described(cfg: CfgNode) -> CfgNode:
    if "DECODER" not in cfg.MODEL:
        raise ConfigError(f"MODEL.META_ARCH: {cfg.MODEL.META_ARCH.NAME} cannot be exported: it has no DECODER in its config.")
    form = image_form(cfg)
    if not form.is_rgb:
        raise ConfigError(
            "only detectors of RGB images with 8 bits can be exported, as whoever feeds the graph could not be told of others; "
            f"this one takes {form.channels} channel(s), DATASETS.PIXEL_RANGE {form.value_range and list(form.value_range)}."
        )
    return cfg
