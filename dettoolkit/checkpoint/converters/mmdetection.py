"""MMDetection: RetinaNets of its versions 2 and 3, with a ResNet or ResNeXt and a feature pyramid."""

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
from dettoolkit.checkpoint.converters.torchvision import RESNET

_LAST_STAGE, _LAST_LEVEL = 5, 7
_TOWERS = (("bbox_head.cls_convs.", "head.classification_tower."), ("bbox_head.reg_convs.", "head.box_tower."))


def kind(names: Collection[str]) -> str | None:
    """Return in words what has such names of tensors, or None where they are not MMDetection's."""
    theirs = any(name.startswith(("neck.lateral_convs.", "bbox_head.retina_cls.")) for name in names)
    return "MMDetection detector" if theirs else None


def to_dettoolkit(state: Mapping[str, Any], anchors: tuple[int, int] | None = None) -> Conversion:
    """Return MMDetection's weights under our names, with the anchors in our order.

    Args:
        state: tensors by name.
        anchors: how many sizes and aspect ratios there are at a location; None: from the shapes.

    Raises:
        CheckpointError: the order of the anchors depends on ``anchors``.
    """
    merged = {name.split(".")[2] for name in state if name.startswith("neck.lateral_convs.")}
    done = rename(state, _table(first=_LAST_STAGE + 1 - len(merged)).ours)
    done.state = sizes_first(done.state, anchors)
    spread_over_levels(done)
    fill_biases(done)
    done.problems += other_groups(done.state)
    return done


def from_dettoolkit(state: Mapping[str, Any], anchors: tuple[int, int] | None = None) -> Conversion:
    """Return our weights under MMDetection's names, with the anchors in its order.

    Args:
        state: tensors by name.
        anchors: how many sizes and aspect ratios there are at a location; None: from the shapes.

    Raises:
        CheckpointError: the order of the anchors depends on ``anchors``.
    """
    merged = [int(name.split(".")[2][1:]) for name in state if name.startswith("neck.lateral.P")]
    group_norms = {
        part
        for part in ("backbone", "neck", "head")
        if not any(_is_statistic(name) and name.startswith(part) for name in state)
    }
    table, left_out = _table(min(merged, default=3), group_norms), repeated(state) | zero_biases(state)
    no_place = set(biases_before_norms(state))
    done = rename(
        ratios_first(state, anchors), lambda name: None if name in no_place else table.theirs(name), left_out=left_out
    )
    done.problems += other_groups(state)
    if all(name.startswith("backbone.") for name in state):
        done.problems.append(
            "there is no detector: MMDetection takes a backbone alone as a ResNet of torchvision's, --to torchvision"
        )
    return done


def _is_statistic(name: str) -> bool:
    return name.endswith(".running_mean")


def _table(first: int, group_norms: Collection[str] = ()) -> NameTable:
    """Return the table of a detector.

    Args:
        first: the first level of the pyramid; MMDetection counts levels from 0.
        group_norms: parts (backbone, neck, head) whose norms are called ``gn`` on the way out, not ``bn``.
    """
    named = {part: ("gn", "bn") if part in group_norms else ("bn", "gn") for part in ("backbone", "neck", "head")}
    rows = [("bbox_head.retina_cls.*", "head.classification.*"), ("bbox_head.retina_reg.*", "head.box.*")]
    for norm in named["backbone"]:
        rows += [
            (f"backbone.{norm}1.*", "backbone.bn1.*"),
            (f"backbone.layer{{s}}.{{b}}.{norm}{{n}}.*", "backbone.layer{s}.{b}.bn{n}.*"),
        ]
    rows += prefixed(RESNET, "backbone.", "backbone.")
    for level in range(first, _LAST_LEVEL + 1):
        output = f"neck.output.P{level}" if level <= _LAST_STAGE else f"neck.extra.P{level}"
        for theirs, ours in (
            (f"lateral_convs.{level - first}", f"neck.lateral.P{level}"),
            (f"fpn_convs.{level - first}", output),
        ):
            rows += [
                (f"neck.{theirs}.conv.*", f"{ours}.0.*"),
                *((f"neck.{theirs}.{norm}.*", f"{ours}.1.*") for norm in named["neck"]),
            ]
    for theirs, ours in _TOWERS:
        rows += [(f"{theirs}{{n}}.conv.*", f"{ours}convs.{{n}}.*")]
        rows += [(f"{theirs}{{n}}.{norm}.*", f"{ours}norms.{{n}}.levels.0.*") for norm in named["head"]]
    return NameTable(rows)
