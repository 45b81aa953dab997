"""Reading weight files without running anything that is in them."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from dettoolkit.checkpoint import restricted_pickle
from dettoolkit.errors import CheckpointError, did_you_mean, listed

ACCEPTED = "Accepted: files of torch.save that hold tensors and plain data only, safetensors, and pickles of arrays."

_ZIP = b"PK\x03\x04"
# of protocol 2 and later; a dict or list of protocol 0 or 1; something imported in protocol 0
_PICKLE = re.compile(rb"\x80[\x02-\x05]|\([dl]p?\d*\n|[}\]]q.|c[\w.]+\n[\w.]+\n", re.DOTALL)
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number of torch.save before version 1.6


def read(path: str | Path) -> dict[str, Any]:
    """Return what a weight file holds, on the CPU; the file is recognised by its content, whatever its name.

    Files of torch.save are read with ``weights_only=True``, other pickles by :mod:`dettoolkit.checkpoint.restricted_pickle`:
    nothing in them can run. Where the format allows it tensors are mapped from the file rather than copied.

    Args:
        path: a file of torch.save (either format), safetensors, or a pickle of numpy arrays.

    Raises:
        CheckpointError: no such file, or it is something else, damaged, or asks for more than tensors and plain data.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise CheckpointError(f"{path}: {_why_not_opened(path, error)}") from None
    if head.startswith(_ZIP):
        data = _read_torch_zip(path)
    elif head.startswith(_OLD_TORCH):
        data = _torch_load(path, mmap=False)
    elif _is_safetensors(head, path.stat().st_size):
        data = _read_safetensors(path)
    elif _PICKLE.match(head):
        data = restricted_pickle.load(path.read_bytes(), str(path))
    else:
        raise CheckpointError(f"{path} is {_what_else(head)}. {ACCEPTED}")
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} holds a {type(data).__name__}; expected a dict of weights or a checkpoint.")
    return data


def _why_not_opened(path: Path, error: OSError) -> str:
    if path.is_dir():
        files = sorted(child.name for child in path.iterdir() if child.is_file())
        return f"is a folder; expected a weight file. Files in it: {listed(files, 10)}."
    if isinstance(error, FileNotFoundError):
        siblings = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
        return f"there is no such file.{did_you_mean(path.name, siblings)}"
    return f"cannot be opened: {error.strerror}."


def _read_torch_zip(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        raise CheckpointError(
            f"{path} is damaged: a file of torch.save whose end is missing. Copy or download it again."
        ) from None
    if "constants.pkl" in names:
        raise CheckpointError(f"{path} is a TorchScript program, not weights. {ACCEPTED}")
    if "data.pkl" not in names:
        raise CheckpointError(f"{path} is a zip archive that torch.save did not write. {ACCEPTED}")
    return _torch_load(path, mmap=True)


def _torch_load(path: Path, mmap: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        wanted = listed(_forbidden_globals(path, str(error)) or ["unknown ones"])
        raise CheckpointError(
            f"{path} asks for Python objects that are neither tensors nor plain data: {wanted}. "
            f"Such a file can run code when it is read, so it is not. {ACCEPTED}"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} is damaged: {reason} Copy or download it again.") from error


def _forbidden_globals(path: Path, message: str) -> list[str]:
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except (
        ValueError,
        RuntimeError,
        AssertionError,
        NotImplementedError,
    ):  # the old format: torch's message names the first one
        return re.findall(r"GLOBAL ([\w.]+)", message)[:1]


def _is_safetensors(head: bytes, size: int) -> bool:
    """Whether a file starts with the length of a JSON header and the header, as safetensors do."""
    return len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: safetensors say {error}. Copy or download it again.") from None


def _what_else(head: bytes) -> str:
    """Return in words what a file is that holds no weights."""
    start = head.lstrip().lower()
    if not head:
        return "an empty file"
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "a web page, probably what a server sent instead of the file"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS; fetch the file itself with `git lfs pull`"
    return f"no weight file; it starts with {head[:12]!r}"
