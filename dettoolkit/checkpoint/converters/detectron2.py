"""Detectron2: RetinaNets, and ResNets for their backbones, as in its model zoo."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dettoolkit.checkpoint.converters.conversion import Conversion, rename
from dettoolkit.checkpoint.converters.names import NameTable, prefixed
from dettoolkit.checkpoint.converters.norms import other_groups, repeated, spread_over_levels

_RESNET = [
    ("stem.conv1.norm.*", "bn1.*"),
    ("stem.conv1.*", "conv1.*"),
    ("res{s+1}.{b}.shortcut.norm.*", "layer{s}.{b}.downsample.1.*"),
    ("res{s+1}.{b}.shortcut.*", "layer{s}.{b}.downsample.0.*"),
    ("res{s+1}.{b}.conv{n}.norm.*", "layer{s}.{b}.bn{n}.*"),
    ("res{s+1}.{b}.conv{n}.*", "layer{s}.{b}.conv{n}.*"),
]
_DETECTOR = [
    *prefixed(_RESNET, "backbone.bottom_up.", "backbone."),
    ("backbone.fpn_lateral{n}.norm.*", "neck.lateral.P{n}.1.*"),
    ("backbone.fpn_lateral{n}.*", "neck.lateral.P{n}.0.*"),
    ("backbone.fpn_output{n}.norm.*", "neck.output.P{n}.1.*"),
    ("backbone.fpn_output{n}.*", "neck.output.P{n}.0.*"),
    ("backbone.top_block.p{n}.*", "neck.extra.P{n}.0.*"),
    ("head.cls_score.*", "head.classification.*"),
    ("head.bbox_pred.*", "head.box.*"),
]
# a tower is one sequence: convolution, ReLU, ...
_TOWER = [("{2n}.*", "convs.{n}.*")]
# ... or convolution, norm, ReLU, ...; batch norms share their scale and shift, and have statistics by level
_TOWER_WITH_NORM = [
    ("{3n}.*", "convs.{n}.*"),
    ("{3n+1}.weight", "norms.{n}.levels.0.weight"),
    ("{3n+1}.bias", "norms.{n}.levels.0.bias"),
    ("{3n+1}.{l}.running_mean", "norms.{n}.levels.{l}.running_mean"),
    ("{3n+1}.{l}.running_var", "norms.{n}.levels.{l}.running_var"),
    ("{3n+1}.{l}.num_batches_tracked", "norms.{n}.levels.{l}.num_batches_tracked"),
    ("{3n+1}.*", "norms.{n}.levels.0.*"),  # statistics too, before there were those by level
]
_HARMLESS = [
    ("pixel_mean", "belongs into MODEL.INPUT.PIXEL_MEAN"),
    ("pixel_std", "belongs into MODEL.INPUT.PIXEL_STD"),
    (r"anchor_generator\.cell_anchors\.\d+", "computed from MODEL.ANCHORS"),
    (r"(backbone\.bottom_up\.)?(stem\.fc|linear)\.(weight|bias)", "the classifier of ImageNet's classes"),
]


def kind(names: Collection[str]) -> str | None:
    """Return in words what has such names of tensors, or None where they are not Detectron2's."""
    if any(name.startswith("backbone.bottom_up.") for name in names):
        return "Detectron2 detector"
    return "Detectron2 ResNet" if _is_backbone(names) else None


def to_dettoolkit(state: Mapping[str, Any], anchors: tuple[int, int] | None = None) -> Conversion:
    """Return Detectron2's weights under our names.

    Args:
        state: tensors by name.
        anchors: of no use: the anchors are in the same order.
    """
    norms = any(name.startswith("head.cls_subnet.1.") for name in state)
    table = NameTable(prefixed(_RESNET, "", "backbone.")) if _is_backbone(state) else _detector(norms)
    done = rename(state, table.ours, _HARMLESS)
    spread_over_levels(done)
    done.problems += other_groups(done.state)
    return done


def from_dettoolkit(state: Mapping[str, Any], anchors: tuple[int, int] | None = None) -> Conversion:
    """Return our weights under Detectron2's names; a backbone alone as its ImageNet weights are named.

    Args:
        state: tensors by name.
        anchors: of no use: the anchors are in the same order.
    """
    norms = any(name.startswith("head.classification_tower.norms.") for name in state)
    backbone_only = all(name.startswith("backbone.") for name in state)
    table = NameTable(prefixed(_RESNET, "", "backbone.")) if backbone_only else _detector(norms)
    done = rename(state, table.theirs, left_out=repeated(state, shared=("weight", "bias")))
    done.problems += other_groups(state)
    levels = sorted({name.split(".")[2] for name in state if name.startswith("neck.extra.")})
    if levels not in ([], ["P6", "P7"]):
        done.problems.append(f"neck.extra: Detectron2 makes P6 and P7 or none of both, the model {' and '.join(levels)}")
    return done


def _is_backbone(names: Collection[str]) -> bool:
    return "stem.conv1.weight" in names and "res2.0.conv1.weight" in names


def _detector(with_norm: bool) -> NameTable:
    tower = _TOWER_WITH_NORM if with_norm else _TOWER
    classes = prefixed(tower, "head.cls_subnet.", "head.classification_tower.")
    boxes = prefixed(tower, "head.bbox_subnet.", "head.box_tower.")
    return NameTable([*_DETECTOR, *classes, *boxes])
