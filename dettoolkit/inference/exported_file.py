"""Exported files: recognised by content, and turned into a function of tensors."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from dettoolkit.errors import CheckpointError, ConfigError, MissingDependencyError
from dettoolkit.inference.exported_metadata import ENTRY

Run: TypeAlias = Callable[[Tensor, Tensor], Sequence[Tensor]]

_MAX_TEXT = 2**22  # bytes: a description of ten thousand classes is far shorter
# protocol buffers of ONNX's ModelProto begin with its version of the format, then the producer's name or the graph
_ONNX = re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x22\x3a\x42]")


def is_exported(path: Path) -> bool:
    """Return whether a file is one of ONNX or ``torch.export``, by what is in it; nothing of it is run."""
    return is_torch_export(path) or _is_onnx(path)


def device_for(path: Path, device: str) -> str:
    """Return ``device``, or in place of ``auto`` the CPU where ONNX Runtime is to run a file and can use no GPU."""
    if device != "auto" or is_torch_export(path):
        return device
    return (
        "auto"
        if torch.cuda.is_available() and "CUDAExecutionProvider" in _onnxruntime(path).get_available_providers()
        else "cpu"
    )


def is_torch_export(path: Path) -> bool:
    """Return whether a file is one of ``torch.export.save``."""
    return _entry(path, "archive_format") is not None


def _is_onnx(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError:
        return False
    return _ONNX.match(head) is not None and head[4:8] != b"\0\0\0\0"  # safetensors: a length of 8 bytes


def load_torch_export(path: Path, device: torch.device, trusted: bool) -> tuple[Run, str]:
    """Return a file of ``torch.export`` as a function, and the text in it.

    ``torch.export.load`` unpickles constants without restriction and evaluates expressions, so a file can run anything.

    Raises:
        CheckpointError: the file is not trusted, is damaged, or holds no detector.
    """
    name = _entry(path, f"extra/{ENTRY}")
    if name is None:
        raise CheckpointError(f"{path} is a file of torch.export, but of no detector: {ENTRY} is missing in it.")
    if not trusted:
        raise CheckpointError(
            f"{path} is a file of torch.export; reading one can run code that somebody put into it. If it is from a source "
            "that you trust: --trust or trusted=True. A file of ONNX runs nothing: dettoolkit export-model --format onnx."
        )
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(name).file_size > _MAX_TEXT:
            raise CheckpointError(f"{path}: {ENTRY} is longer than {_MAX_TEXT} bytes.")
        text = archive.read(name).decode("utf-8", errors="replace")
    import torchvision  # noqa: F401 (registers its operators, which the graph names)

    try:
        with warnings.catch_warnings():
            # what torch 2.11 does when it loads weights
            warnings.filterwarnings("ignore", message="The given buffer is not writable", category=UserWarning)
            program = torch.export.load(path)
        if device.type != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, str(device))
        # without the guards: they refuse maps of one pixel, for which the graph is right too
        graph: Any = program.module(check_guards=False)
    except Exception as error:  # whatever an archive of another version, or a damaged one, leads to
        raise CheckpointError(f"{path} cannot be loaded by torch {torch.__version__}: {_first_line(error)}") from error
    # not the module itself: as part of another one it would refuse eval()
    return lambda images, image_sizes: graph(images, image_sizes), text


def load_onnx(path: Path, device: torch.device) -> tuple[Run, str]:
    """Return a file of ONNX as a function, and the text in it.

    Raises:
        CheckpointError: the file is damaged, or holds no detector.
        ConfigError: the installed ONNX Runtime has nothing for the device.
        MissingDependencyError: ONNX Runtime is not installed.
    """
    onnxruntime = _onnxruntime(path)
    providers = _providers(device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors alone: they are raised, too
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # its exceptions share no class
        raise CheckpointError(f"{path} cannot be loaded by ONNX Runtime: {_first_line(error)}") from error
    text = session.get_modelmeta().custom_metadata_map.get(ENTRY)
    if text is None or len(text) > _MAX_TEXT:
        raise CheckpointError(f"{path} is a file of ONNX, but of no detector that dettoolkit exported: no {ENTRY} in it.")

    def run(images: Tensor, image_sizes: Tensor) -> list[Tensor]:
        given = {"images": images.cpu().numpy(), "image_sizes": image_sizes.cpu().numpy()}
        return [torch.from_numpy(output) for output in session.run(None, given)]

    return run, text


def _onnxruntime(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(f"{path}: ONNX Runtime is needed to run it: pip install 'dettoolkit[onnx]'") from error
    return onnxruntime


def _providers(device: torch.device, available: Sequence[str]) -> list[Any]:
    if device.type == "cpu":
        return ["CPUExecutionProvider"]
    if device.type == "cuda" and "CUDAExecutionProvider" in available:
        return [("CUDAExecutionProvider", {"device_id": device.index or 0}), "CPUExecutionProvider"]
    raise ConfigError(f"the installed ONNX Runtime cannot run on {device}: take --device cpu, or install onnxruntime-gpu.")


def _entry(path: Path, name: str) -> str | None:
    """Return the full name of an entry of a zip archive, whose entries all stand in one folder; None where there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return next((each for each in archive.namelist() if each.partition("/")[2] == name), None)
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
