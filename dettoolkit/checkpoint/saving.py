"""Writing checkpoints: tensors and plain data only, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from dettoolkit.errors import CheckpointError, listed

_LITTLE = 2**20  # bytes: with less free, a failure to write is for lack of space
_LEAVES = {type(None), bool, int, float, str, bytes, torch.Tensor, torch.nn.Parameter, torch.Size, torch.dtype, torch.device}
_SEQUENCES = {list, tuple}
_MAPPINGS = {dict, OrderedDict}


def write(path: str | Path, data: Mapping[str, Any]) -> None:
    """Write a checkpoint that :func:`dettoolkit.checkpoint.read` will accept.

    The file is written under another name beside ``path``, flushed to the disk and renamed: whatever happens meanwhile,
    ``path`` is the old file or the new one.

    Args:
        path: the file; its folder is made where it is missing.
        data: tensors and plain data (numbers, text, lists, dicts), nested at will.

    Raises:
        CheckpointError: a value that is neither (named by its keys; nothing is written), or the file cannot be written.
    """
    path = Path(path)
    refused = list(_refused(data, ""))
    if refused:
        raise CheckpointError(
            f"{path} was not written: checkpoints hold tensors and plain data only, got {listed(refused, 10)}. "
            "Convert each to a tensor, number, text, list or dict."
        )
    write_whole(path, lambda file: torch.save(data, file))


def write_whole(path: Path, write_to: Callable[[BinaryIO], object]) -> None:
    """Write a file under another name beside ``path``, flush it to the disk and rename it.

    Args:
        path: the file; its folder is made where it is missing.
        write_to: writes the content into an open file.

    Raises:
        CheckpointError: the file cannot be written; what was there before is unchanged.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write_to(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch's writer turns a full disk into a RuntimeError
        kept = " The file that was there before is unchanged." if path.is_file() else ""
        raise CheckpointError(f"{path} cannot be written: {_reason(error, path.parent)}.{kept}") from error
    finally:
        if temporary.is_file():
            temporary.unlink()


def _reason(error: Exception, folder: Path) -> str:
    """Return why a file could not be written; of a full disk, torch's writer says no word."""
    words = str(error).partition("\n")[0]
    free = shutil.disk_usage(folder).free if folder.is_dir() else _LITTLE
    if free < _LITTLE or getattr(error, "errno", None) == errno.ENOSPC:
        return f"the disk of {folder} is full ({free / 2**20:.1f} MiB are free; {words})"
    return words


def _refused(value: Any, path: str) -> Iterator[str]:
    """Yield ``keys: type`` of each value that a reader with ``weights_only=True`` would refuse.

    Types are compared exactly: a numpy.float64 is a float, and yet pickled as what it is.
    """
    kind = type(value)
    if kind in _LEAVES:
        return
    if kind in _SEQUENCES:
        for index, item in enumerate(value):
            yield from _refused(item, f"{path}.{index}" if path else str(index))
    elif kind in _MAPPINGS:
        for key, item in value.items():
            inner = f"{path}.{key}" if path else str(key)
            yield from _refused(key, f"the key {inner}")
            yield from _refused(item, inner)
    else:
        yield f"{path or 'the whole'}: {kind.__module__}.{kind.__qualname__}"


def _flush_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut, where a folder can be opened for that."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
