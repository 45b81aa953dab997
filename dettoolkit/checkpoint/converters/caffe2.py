"""caffe2: the ImageNet backbones of MSRA and FAIR, as Detectron and Detectron2 start from (``R-50.pkl``, ``X-101-32x8d.pkl``).

Their batch norms are written in three ways: folded into scale and shift (``_bn_s``, ``_bn_b``; to us, mean 0 and variance 1),
with statistics beside them (``_bn_rm``, ``_bn_riv``, which is the variance all the same), or by the words of the files that
Detectron2 has today (``_bn_gamma``, ``_bn_beta``, ``_bn_running_mean``, ``_bn_running_var``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
_SHORT = [("s", "weight"), ("b", "bias"), ("rm", "running_mean"), ("riv", "running_var")]
_LONG = [("gamma", "weight"), ("beta", "bias"), ("running_mean", "running_mean"), ("running_var", "running_var")]
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
    done = rename(state, _table("gn" if "conv1_gn_s" in state else "bn").ours, _HARMLESS)
    for name, new in done.renamed.items():
        if name.endswith("_bn_s"):
            norm, scale = new.removesuffix(".weight"), done.state[new]
            for parameter, value in (("running_mean", 0.0), ("running_var", 1 - _EPSILON)):
                if f"{norm}.{parameter}" not in done.state:
                    done.fill(f"{norm}.{parameter}", torch.full_like(scale, value), "folded into scale and shift")
    return done


def from_dettoolkit(state: Mapping[str, Any], anchors: tuple[int, int] | None = None) -> Conversion:
    """Return a backbone of ours under caffe2's names.

    Args:
        state: tensors by name.
        anchors: of no use for a backbone.
    """
    norms = [name.removesuffix(".running_mean") for name in state if name.endswith(".running_mean")]
    harmless = [(r"backbone\..*\.num_batches_tracked", "of no use for a norm whose statistics stay")]
    folded = all(_is_folded(state[f"{norm}.running_mean"], state[f"{norm}.running_var"]) for norm in norms)
    if folded:
        harmless.append((r"backbone\..*\.running_(mean|var)", "folded into scale and shift"))
    done = rename(state, _table("bn" if norms else "gn", _SHORT if folded else _LONG).theirs, harmless)
    if done.unknown:
        done.problems.append("in caffe2's names only ResNets are written")
    return done


def _is_folded(mean: Tensor, variance: Tensor) -> bool:
    return not mean.any() and torch.equal(variance, torch.full_like(variance, 1 - _EPSILON))


def _table(norm: str, first: Sequence[tuple[str, str]] = _SHORT) -> NameTable:
    """Return the table of a backbone with norms ``bn`` or ``gn``; ``first`` are their parameters' names on the way out."""
    stem = "res_conv1_bn" if norm == "bn" else "conv1_gn"
    parameters = [*first, *_SHORT, *_LONG]
    rows = [("conv1_w", "conv1.weight"), *((f"{stem}_{theirs}", f"bn1.{ours}") for theirs, ours in parameters)]
    for place, convolution, its_norm in _PLACES:
        rows.append((f"{place}_w", f"{convolution}.weight"))
        rows += [(f"{place}_{norm}_{theirs}", f"{its_norm}.{ours}") for theirs, ours in parameters]
    return NameTable((theirs, f"backbone.{ours}") for theirs, ours in rows)
