"""torchvision: ``retinanet_resnet50_fpn`` and its like, and ResNets alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dettoolkit.checkpoint.converters.anchor_order import ratios_first, sizes_first
from dettoolkit.checkpoint.converters.conversion import Conversion, rename
from dettoolkit.checkpoint.converters.names import NameTable, prefixed
from dettoolkit.checkpoint.converters.norms import (
    biases_before_norms,
    fill_biases,
    other_groups,
    repeated,
    spread_over_levels,
    zero_biases,
)

RESNET = [
    ("conv1.*", "conv1.*"),
    ("bn1.*", "bn1.*"),
    ("layer{s}.{b}.conv{n}.*", "layer{s}.{b}.conv{n}.*"),
    ("layer{s}.{b}.bn{n}.*", "layer{s}.{b}.bn{n}.*"),
    ("layer{s}.{b}.downsample.0.*", "layer{s}.{b}.downsample.0.*"),
    ("layer{s}.{b}.downsample.1.*", "layer{s}.{b}.downsample.1.*"),
]
_HEAD = [
    ("head.classification_head.cls_logits.*", "head.classification.*"),
    ("head.regression_head.bbox_reg.*", "head.box.*"),
]
_TOWER = [
    ("conv.{n}.0.*", "convs.{n}.*"),
    ("conv.{n}.1.*", "norms.{n}.levels.0.*"),
    ("conv.{2n}.*", "convs.{n}.*"),  # before torchvision 0.14, each with a ReLU behind it; its published weights are so named
]
_HARMLESS = [(r"fc\.(weight|bias)", "the classifier of ImageNet's classes")]
_BODY_NAMES = {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight"}
_NUM_CONVS = 4


def kind(names: Collection[str]) -> str | None:
    """Return in words what has such names of tensors, or None where they are not torchvision's."""
    if any(name.startswith(("backbone.fpn.inner_blocks.", "head.classification_head.")) for name in names):
        return "torchvision detector"
    return "torchvision ResNet" if _is_backbone(names) else None


def to_dettoolkit(state: Mapping[str, Any], anchors: tuple[int, int] | None = None) -> Conversion:
    """Return torchvision's weights under our names, with the anchors in our order.

    The number of classes stays: torchvision's models of COCO have 91, whose first is never found.

    Args:
        state: tensors by name.
        anchors: how many sizes and aspect ratios there are at a location; None: from the shapes.

    Raises:
        CheckpointError: the order of the anchors depends on ``anchors``.
    """
    if _is_backbone(state):
        return rename(state, NameTable(prefixed(RESNET, "", "backbone.")).ours, _HARMLESS)
    merged = {name.split(".")[3] for name in state if name.startswith("backbone.fpn.inner_blocks.")}
    done = rename(state, _detector(first=6 - len(merged)).ours, _HARMLESS)
    done.state = sizes_first(done.state, anchors)
    spread_over_levels(done)
    fill_biases(done)
    done.problems += other_groups(done.state)
    return done


def from_dettoolkit(state: Mapping[str, Any], anchors: tuple[int, int] | None = None) -> Conversion:
    """Return our weights under torchvision's names, with the anchors in its order; a backbone alone as a ResNet.

    Args:
        state: tensors by name.
        anchors: how many sizes and aspect ratios there are at a location; None: from the shapes.

    Raises:
        CheckpointError: the order of the anchors depends on ``anchors``.
    """
    if all(name.startswith("backbone.") for name in state):
        return rename(state, NameTable(prefixed(RESNET, "", "backbone.")).theirs)
    merged = [int(name.split(".")[2][1:]) for name in state if name.startswith("neck.lateral.P")]
    table, left_out = _detector(first=min(merged, default=3)), repeated(state) | zero_biases(state)
    no_place = set(biases_before_norms(state))
    done = rename(
        ratios_first(state, anchors), lambda name: None if name in no_place else table.theirs(name), left_out=left_out
    )
    done.problems += [*other_groups(state), *_not_torchvisions(state)]
    return done


def _is_backbone(names: Collection[str]) -> bool:
    return set(names) >= _BODY_NAMES


def _detector(first: int) -> NameTable:
    """Return the table of a detector whose pyramid begins with level ``first``: torchvision counts levels from 0."""
    fpn, level = "backbone.fpn", f"{{n-{first}}}"
    rows = [*prefixed(RESNET, "backbone.body.", "backbone."), (f"{fpn}.extra_blocks.p{{n}}.*", "neck.extra.P{n}.0.*"), *_HEAD]
    for theirs, ours in (("inner_blocks", "lateral"), ("layer_blocks", "output")):
        rows += [
            (f"{fpn}.{theirs}.{level}.{{m}}.*", f"neck.{ours}.P{{n}}.{{m}}.*"),
            (f"{fpn}.{theirs}.{level}.*", f"neck.{ours}.P{{n}}.0.*"),  # before 0.14
        ]
    rows += prefixed(_TOWER, "head.classification_head.", "head.classification_tower.")
    return NameTable([*rows, *prefixed(_TOWER, "head.regression_head.", "head.box_tower.")])


def _not_torchvisions(state: Mapping[str, Any]) -> list[str]:
    """Return what torchvision's classes cannot be built with, though there would be names for it."""
    problems = []
    levels = sorted({name.split(".")[2] for name in state if name.startswith("neck.extra.")})
    if levels not in ([], ["P6", "P7"]):
        problems.append(f"neck.extra: torchvision makes P6 and P7 or none of both, the model {' and '.join(levels)}")
    convs = {name.split(".")[3] for name in state if name.startswith("head.classification_tower.convs.")}
    if len(convs) != _NUM_CONVS:
        problems.append(
            f"head.classification_tower: torchvision's towers have {_NUM_CONVS} convolutions, the model's {len(convs)}"
        )
    return problems
