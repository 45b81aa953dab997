"""caffe2: the ImageNet backbones of MSRA and FAIR, as Detectron and Detectron2 start from (``R-50.pkl``, ``X-101-32x8d.pkl``).

Their batch norms are folded: a scale and a shift alone, to which ours are mean 0 and variance 1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from dettoolkit.checkpoint.converters.conversion import Conversion, rename
from dettoolkit.checkpoint.converters.names import NameTable

_EPSILON = 1e-5  # of FrozenBN: variance 1 less epsilon makes the scale be what it is in the file
_PLACES = [  # of convolutions, of their norms, and both in our names
    ("res{s+1}_{b}_branch1", "layer{s}.{b}.downsample.0", "layer{s}.{b}.downsample.1"),
    ("res{s+1}_{b}_branch2a", "layer{s}.{b}.conv1", "layer{s}.{b}.bn1"),
    ("res{s+1}_{b}_branch2b", "layer{s}.{b}.conv2", "layer{s}.{b}.bn2"),
    ("res{s+1}_{b}_branch2c", "layer{s}.{b}.conv3", "layer{s}.{b}.bn3"),
]
_NORM = [("s", "weight"), ("b", "bias"), ("rm", "running_mean"), ("riv", "running_var")]
_HARMLESS = [
    (r"(fc1000|pred)_[wb]", "the classifier of ImageNet's classes"),
    (r".*_momentum", "the optimizer's"),
    (r"conv1_b", "Detectron and Detectron2 leave it out too: a norm with a shift of its own follows"),
]


def kind(names: Collection[str]) -> str | None:
    """Return in words what has such names of tensors, or None where they are not caffe2's."""
    return "caffe2 ResNet" if {"conv1_w", "res2_0_branch2a_w"} <= set(names) else None


def to_dettoolkit(state: Mapping[str, Any], anchors: tuple[int, int] | None = None) -> Conversion:
    """Return a backbone of caffe2 under our names.

    Args:
        state: tensors by name.
        anchors: of no use for a backbone.
    """
    done = rename(state, _table("gn" if any(name.endswith("_gn_s") for name in state) else "bn").ours, _HARMLESS)
    for name, new in done.renamed.items():
        if name.endswith("_bn_s"):
            norm, scale, reason = new.removesuffix(".weight"), done.state[new], "the file has scale and shift alone"
            for parameter, value in (("running_mean", 0.0), ("running_var", 1 - _EPSILON)):
                if f"{norm}.{parameter}" not in done.state:
                    done.fill(f"{norm}.{parameter}", torch.full_like(scale, value), reason)
    return done


def from_dettoolkit(state: Mapping[str, Any], anchors: tuple[int, int] | None = None) -> Conversion:
    """Return a backbone of ours under caffe2's names, its batch norms folded.

    Args:
        state: tensors by name.
        anchors: of no use for a backbone.
    """
    norms = [name.removesuffix(".running_mean") for name in state if name.endswith(".running_mean")]
    folded = dict(state)
    for norm in norms:
        if norm.startswith("backbone."):
            folded[f"{norm}.weight"], folded[f"{norm}.bias"] = _fold(state, norm)
    reason = "folded into scale and shift"
    statistics = [(rf"backbone\..*\.{name}", reason) for name in ("running_mean", "running_var", "num_batches_tracked")]
    return rename(folded, _table("bn" if norms else "gn").theirs, statistics)


def _fold(state: Mapping[str, Tensor], norm: str) -> tuple[Tensor, Tensor]:
    """Return the scale and the shift that do what a batch norm does in evaluation."""
    weight, bias, mean, variance = (
        state[f"{norm}.{name}"].double() for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / (variance + _EPSILON).sqrt()
    return tuple(value.to(state[f"{norm}.weight"].dtype) for value in (scale, bias - mean * scale))  # type: ignore[return-value]


def _table(norm: str) -> NameTable:
    """Return the table of a backbone with norms ``bn`` or ``gn``; the stem's batch norm has a name of its own."""
    stem = "res_conv1_bn" if norm == "bn" else "conv1_gn"
    rows = [("conv1_w", "conv1.weight"), *((f"{stem}_{theirs}", f"bn1.{ours}") for theirs, ours in _NORM)]
    for place, convolution, its_norm in _PLACES:
        rows.append((f"{place}_w", f"{convolution}.weight"))
        rows += [(f"{place}_{norm}_{theirs}", f"{its_norm}.{ours}") for theirs, ours in _NORM]
    return NameTable((theirs, f"backbone.{ours}") for theirs, ours in rows)
