"""The order of the anchors at a location, and so of the channels of the last convolutions.

Ours is Detectron2's: a size after the other, each with all aspect ratios. torchvision and MMDetection have an aspect ratio
after the other, each with all sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dettoolkit.errors import CheckpointError

_LAYERS = ("head.classification", "head.box")


def ratios_first(state: Mapping[str, Any], anchors: tuple[int, int] | None) -> dict[str, Any]:
    """Return the channels in the order of toolkits that go through the aspect ratios first.

    Args:
        state: tensors under our names, in our order.
        anchors: how many sizes and aspect ratios there are at a location; None: from the box layer's channels.

    Raises:
        CheckpointError: the number of sizes and ratios cannot be known, or is not that of the box layer.
    """
    sizes, ratios = _sizes_and_ratios(state, anchors)
    return _swapped(state, sizes, ratios)


def sizes_first(state: Mapping[str, Any], anchors: tuple[int, int] | None) -> dict[str, Any]:
    """Return the channels in our order; the reverse of :func:`ratios_first`, with the same arguments and errors."""
    sizes, ratios = _sizes_and_ratios(state, anchors)
    return _swapped(state, ratios, sizes)


def _sizes_and_ratios(state: Mapping[str, Any], anchors: tuple[int, int] | None) -> tuple[int, int]:
    if "head.box.weight" not in state:
        return 1, 1  # no head: nothing to reorder
    total = len(state["head.box.weight"]) // 4
    if anchors is not None:
        if anchors[0] * anchors[1] != total:
            raise CheckpointError(
                f"{anchors[0]} sizes and {anchors[1]} aspect ratios are {anchors[0] * anchors[1]} anchors at a location, "
                f"the box layer has {total}."
            )
        return anchors
    if total == 9:
        return 3, 3  # RetinaNet's
    if any(total % divisor == 0 for divisor in range(2, total)):
        raise CheckpointError(
            f"the box layer has {total} anchors at a location, and the order of its channels depends on how many sizes and "
            "aspect ratios they are. Convert it with tools/convert_checkpoint.py --anchors SIZES RATIOS."
        )
    return total, 1  # all of one size or all of one ratio: there is one order only


def _swapped(state: Mapping[str, Any], outer: int, inner: int) -> dict[str, Any]:
    swapped = dict(state)
    for name, value in state.items():
        if name.rpartition(".")[0] in _LAYERS and outer > 1 and inner > 1:
            swapped[name] = _swap(value, outer, inner)
    return swapped


def _swap(value: Tensor, outer: int, inner: int) -> Tensor:
    """Return ``[outer * inner * k, ...]`` as ``[inner * outer * k, ...]``."""
    return value.unflatten(0, (outer, inner, -1)).transpose(0, 1).flatten(0, 2).contiguous()
