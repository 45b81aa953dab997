"""Writing weights alone: the file's suffix says in what, the format how they lie in it."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from dettoolkit.checkpoint.saving import write, write_whole
from dettoolkit.errors import CheckpointError, did_you_mean, listed

SUFFIXES = {
    ".pth": "torch.save",
    ".safetensors": "tensors and their names",
    ".pkl": "a pickle of numpy arrays, as Detectron2 reads",
}


def check_suffix(path: str | Path) -> str:
    """Return the suffix of a file that can be written.

    Raises:
        CheckpointError: there is no such kind of file.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        kinds = listed(f"{known} ({words})" for known, words in SUFFIXES.items())
        raise CheckpointError(
            f"{path}: the suffix says what is written, and {suffix or 'none'} is unknown.{did_you_mean(suffix, SUFFIXES)} "
            f"Accepted: {kinds}."
        )
    return suffix


def write_weights(path: str | Path, state: Mapping[str, Tensor], format_name: str) -> None:
    """Write weights, whole or not at all.

    Args:
        path: the file.
        state: tensors by name.
        format_name: whose names they are: a toolkit looks for its weights under a key of its own.

    Raises:
        CheckpointError: no such kind of file, a type that it has no room for, or it cannot be written.
    """
    suffix, path = check_suffix(path), Path(path)
    # copies: of views the whole memory would be written, and safetensors refuse two names of the same memory
    state = {name: value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format) for name, value in state.items()}
    if suffix == ".safetensors":
        write_whole(path, lambda file: _write_safetensors(state, file))
    elif suffix == ".pkl":
        arrays = {name: _array(path, name, value) for name, value in state.items()}
        write_whole(path, lambda file: pickle.dump(_laid_out(arrays, format_name), file, protocol=4))
    else:
        write(path, _laid_out(state, format_name))


def _laid_out(state: Mapping[str, Any], format_name: str) -> dict[str, Any]:
    if (
        format_name == "detectron2"
    ):  # the author tells it from caffe2's; heuristics: names of a backbone are looked for in parts
        return {"model": dict(state), "__author__": "dettoolkit", "matching_heuristics": True}
    if format_name == "mmdetection":
        return {"meta": {}, "state_dict": dict(state)}
    return {"model": dict(state)} if format_name == "dettoolkit" else dict(state)


def _write_safetensors(state: Mapping[str, Tensor], file: BinaryIO) -> None:
    from safetensors.torch import save

    file.write(save(dict(state), metadata={"format": "pt"}))


def _array(path: Path, name: str, value: Tensor) -> Any:
    try:
        return value.numpy()
    except TypeError:
        raise CheckpointError(f"{path}: numpy has no {value.dtype}, which {name} is of. Write .pth or .safetensors.") from None
