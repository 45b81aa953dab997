"""Norms of the neck and the towers: what is shared by levels here and apart there."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

import torch

from dettoolkit.checkpoint.converters.conversion import Conversion
from dettoolkit.checkpoint.converters.names import PARAMETERS

_BY_LEVEL = re.compile(r"(head\.\w+_tower\.norms\.\d+)\.levels\.(\d+)\.(\w+)")
_NOT_IN_BACKBONE = re.compile(r"((?:neck\.\w+\.P\d\.1)|(?:head\.\w+_tower\.norms\.\d+\.levels\.\d+))\.weight")
_TOWER_CONVOLUTION = re.compile(r"(head\.\w+_tower)\.convs\.(\d+)\.weight")
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


def repeated(state: Mapping[str, Any], shared: Container[str] = PARAMETERS) -> dict[str, str]:
    """Return the parameters of the towers' norms that are those of level 0, bit by bit, and so need not be written.

    Args:
        state: tensors under our names.
        shared: the parameters that the other toolkit has once for all levels.

    Returns:
        Name -> reason.
    """
    found = {}
    for norm, levels in _by_level(state).items():
        for level, parameters in levels.items():
            for parameter, value in parameters.items() if level else ():
                if parameter in shared and torch.equal(levels.get(0, {}).get(parameter, torch.empty(0)), value):
                    found[f"{norm}.levels.{level}.{parameter}"] = "the same as at level 0, and shared by the levels there"
    return found


def biases_before_norms(state: Mapping[str, Any]) -> list[str]:
    """Return the names of the biases of the towers' convolutions that a norm follows: elsewhere these have none."""
    found = [match for name in state if (match := _TOWER_CONVOLUTION.fullmatch(name))]
    return [f"{m[1]}.convs.{m[2]}.bias" for m in found if f"{m[1]}.norms.{m[2]}.levels.0.weight" in state]


def fill_biases(done: Conversion) -> None:
    """Give the convolutions of a tower a bias of zero where the other toolkit has none, because a norm follows."""
    for bias in biases_before_norms(done.state):
        if bias not in done.state:
            weight = done.state[bias.replace("bias", "weight")]
            done.fill(bias, torch.zeros(len(weight), dtype=weight.dtype), "zero: the format has none before a norm")


def zero_biases(state: Mapping[str, Any]) -> dict[str, str]:
    """Return the biases before the norms of the towers that are zero, and so need not be written: name -> reason."""
    found = {}
    for bias in biases_before_norms(state):
        if bias in state and not state[bias].any():
            found[bias] = "zero, and not written before a norm"
    return found


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
