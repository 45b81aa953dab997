"""Norms of the neck and the towers: what is shared by levels here and apart there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dettoolkit.checkpoint.converters.conversion import Conversion

_BY_LEVEL = re.compile(r"(head\.\w+_tower\.norms\.\d+)\.levels\.(\d+)\.(\w+)")
_NOT_IN_BACKBONE = re.compile(r"((?:neck\.\w+\.P\d\.1)|(?:head\.\w+_tower\.norms\.\d+\.levels\.\d+))\.weight")
_GROUPS = 32  # of every group norm in Detectron2, torchvision's RetinaNet v2 and MMDetection's configs


def spread_over_levels(done: Conversion) -> None:
    """Give each level of the pyramid its own batch norm in the towers, where the other toolkit shares some of it.

    Args:
        done: tensors under our names; what it lacks for a level is that of level 0.
    """
    parts = _by_level(done.state)
    pyramid = {name.split(".")[2] for name in done.state if name.startswith(("neck.output.", "neck.extra."))}
    for norm, levels in parts.items():
        if "running_mean" not in levels[min(levels)]:
            continue  # group norm has no statistics, and is shared by the levels in dettoolkit too
        for level in range(len(levels) if len(levels) > 1 else len(pyramid)):
            for parameter, value in levels[min(levels)].items():
                if parameter not in levels.get(level, {}):
                    done.fill(f"{norm}.levels.{level}.{parameter}", value, "the levels share it in the file")


def without_repeated(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return our state without the scales and shifts of a tower's norm that are those of level 0."""
    import torch

    repeated = set()
    for norm, levels in _by_level(state).items():
        for level, parameters in levels.items():
            for parameter in {"weight", "bias"} & parameters.keys() if level else ():
                first = levels.get(0, {}).get(parameter)
                if first is not None and torch.equal(first, parameters[parameter]):
                    repeated.add(f"{norm}.levels.{level}.{parameter}")
    return {name: value for name, value in state.items() if name not in repeated}


def other_groups(state: Mapping[str, Any]) -> list[str]:
    """Return what is wrong where a group norm would have other groups: all other toolkits have 32, ours depend on the width.

    Args:
        state: tensors under our names.
    """
    for name, value in state.items():
        found = _NOT_IN_BACKBONE.fullmatch(name)
        if found is None or f"{found[1]}.running_mean" in state:
            continue
        channels = len(value)
        if channels % _GROUPS or channels == _GROUPS:
            return [f"{name}: a group norm of {channels} channels has other groups in dettoolkit than the {_GROUPS} elsewhere"]
    return []


def _by_level(state: Mapping[str, Any]) -> dict[str, dict[int, dict[str, Any]]]:
    """Return the tensors of the towers' norms by norm, level and parameter."""
    parts: dict[str, dict[int, dict[str, Any]]] = {}
    for name, value in state.items():
        found = _BY_LEVEL.fullmatch(name)
        if found is not None:
            parts.setdefault(found[1], {}).setdefault(int(found[2]), {})[found[3]] = value
    return parts
