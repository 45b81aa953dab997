"""What a weight file is, by what is in it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dettoolkit.checkpoint.converters import FORMATS, Conversion
from dettoolkit.errors import CheckpointError, listed

DETTOOLKIT = "dettoolkit"

_INSIDE = {"model": "checkpoint", "state_dict": "state dict", "blobs": "state dict"}  # where weights lie in a file
_LABELS = {"__author__", "matching_heuristics"}  # what Detectron2 says of its weights, no content of their own
_WRAPPERS = ("module.", "_orig_mod.")  # what DistributedDataParallel and torch.compile put in front of names


@dataclass(frozen=True)
class WeightSource:
    """Weights as they are in a file.

    Args:
        name: of the file.
        format: whose names they have: one of ``FORMATS``, or ``"dettoolkit"``: the names of the model itself.
        kind: what the file is, in words.
        state: tensors by name.
        author: what the file says of where it is from; empty where it says nothing.
        beside: what else there is in the file, by its keys.
    """

    name: str
    format: str
    kind: str
    state: dict[str, Tensor]
    author: str = ""
    beside: tuple[str, ...] = ()

    @property
    def is_dettoolkit(self) -> bool:
        """Whether the names are those of a model here."""
        return self.format == DETTOOLKIT

    def to_dettoolkit(self, anchors: tuple[int, int] | None = None) -> Conversion:
        """Return the weights under our names.

        Args:
            anchors: how many sizes and aspect ratios there are at a location, where the shapes do not tell.

        Raises:
            CheckpointError: the order of the anchors depends on ``anchors``.
        """
        if self.is_dettoolkit:
            return Conversion(dict(self.state), renamed={name: name for name in self.state})
        try:
            return FORMATS[self.format].to_dettoolkit(self.state, anchors)
        except CheckpointError as error:
            raise CheckpointError(f"{self.name} ({self.kind}): {error}") from None


def recognise(data: Mapping[str, Any], name: str, own_names: Container[str] = ()) -> WeightSource:
    """Return what kind of file ``data`` comes from, and its tensors without the names of wrappers.

    Args:
        data: what the file holds.
        name: how messages call it.
        own_names: of the model that the weights are for: where it has all of them, nothing is to be recognised.

    Raises:
        CheckpointError: there are no weights in it, or something else among another toolkit's weights.
    """
    inside = next((key for key in _INSIDE if isinstance(data.get(key), Mapping)), None)
    kind, state = ("state dict", data) if inside is None else (_INSIDE[inside], data[inside])
    author, beside = (
        str(data.get("__author__", "")),
        () if inside is None else tuple(key for key in data if key != inside and key not in _LABELS),
    )
    if not state or not any(isinstance(value, (Tensor, np.ndarray)) for value in state.values()):
        raise CheckpointError(
            f"{name} has no weights: expected names and tensors, or those under the key 'model'; its keys: {listed(data, 10)}."
        )
    for wrapper in _WRAPPERS:
        if all(key.startswith(wrapper) for key in state):
            state = {key.removeprefix(wrapper): value for key, value in state.items()}
    tensors = {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in state.items()}
    for format_name, module in FORMATS.items():
        found = module.kind(tensors)
        if found is not None and not all(key in own_names for key in tensors):
            _check_tensors(name, found, tensors)
            return WeightSource(name, format_name, found, tensors, author, beside)
    return WeightSource(name, DETTOOLKIT, kind, tensors, author, beside)


def _check_tensors(name: str, kind: str, state: Mapping[str, Any]) -> None:
    others = [f"{key} ({type(value).__name__})" for key, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise CheckpointError(f"{name} ({kind}): there is more than tensors among its weights: {listed(others, 5)}.")
