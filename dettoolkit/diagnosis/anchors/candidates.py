"""Changes of a config that could let anchors reach more objects, as ``KEY VALUE`` overrides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fvcore.common.config import CfgNode
from torch import Tensor

from dettoolkit.diagnosis.anchors.ratios import fitting_ratios

_FACTORS = (1 / 2, 2 / 3, 3 / 4, 4 / 3, 3 / 2, 2.0)  # of the smallest anchor; within an octave to either side
_LARGER = (1.25, 1.5, 2.0)  # of the sides of the input
_APART = 1.25  # anchors of one area with ratios as near as this overlap by 0.8: the second one brings nothing
_MOST_RATIOS = 7
_RESIZES = ("TRAIN_TRANSFORMS", "TEST_TRANSFORMS")


@dataclass(frozen=True)
class Candidate:
    """A change to try.

    Args:
        kind: ``scales``, ``ratios``, ``level`` or ``input``; changes of different kinds can be made together.
        words: what it does.
        overrides: ``(KEY, VALUE, KEY, VALUE, ...)``.
    """

    kind: str
    words: str
    overrides: tuple[str, ...]

    def together(self, other: Candidate) -> Candidate:
        """Return both changes as one."""
        return Candidate(f"{self.kind}+{other.kind}", f"{self.words}, {other.words}", (*self.overrides, *other.overrides))


def candidates(cfg: CfgNode, boxes: Tensor) -> list[Candidate]:
    """Return what can be changed in this config.

    Args:
        cfg: of the detector.
        boxes: ``[G, 4]`` xyxy of the objects as the network gets them, G >= 1.
    """
    anchors = cfg.MODEL.ANCHORS
    found = [*_scales(anchors), *_ratios(anchors, boxes), *_input_sizes(cfg.DATASETS)]
    levels = cfg.MODEL.get("NECK", {}).get("LEVELS")
    # sizes given level by level would need another list for the new level
    if levels and levels[0] == 3 and anchors.get("SIZES") is None:
        found.append(Candidate("level", "a level P2 of stride 4", ("MODEL.NECK.LEVELS", f"[2, {levels[1]}]")))
    return found


def _scales(anchors: CfgNode) -> list[Candidate]:
    sizes, base, number = (anchors.get(key) for key in ("SIZES", "BASE_SCALE", "SCALES_PER_OCTAVE"))
    if sizes is not None:
        scaled = [[[round(side * factor, 1) for side in level] for level in sizes] for factor in _FACTORS]
        return [
            Candidate("scales", f"anchors {factor:.3g} times as large", ("MODEL.ANCHORS.SIZES", str(value)))
            for factor, value in zip(_FACTORS, scaled, strict=True)
        ]
    found = []
    if base is not None:
        for factor in _FACTORS:
            value = ("MODEL.ANCHORS.BASE_SCALE", f"{base * factor:.3g}")
            found.append(Candidate("scales", f"smallest anchors of {base * factor:.3g} strides instead of {base:.3g}", value))
    if number is not None:
        value = ("MODEL.ANCHORS.SCALES_PER_OCTAVE", str(number + 1))
        found.append(Candidate("scales", f"{number + 1} sizes a level instead of {number}", value))
    return found


def _ratios(anchors: CfgNode, boxes: Tensor) -> list[Candidate]:
    present = anchors.get("ASPECT_RATIOS")
    if present is None:
        return []
    fitting = [fitting_ratios(boxes, count) for count in sorted({1, 3, 5, len(present)})]
    wider = [sorted({*present, *ratios}) for ratios in fitting]
    distinct = {tuple(ratios) for ratios in (*fitting, *wider) if _differ(ratios)} - {tuple(sorted(present))}
    return [
        Candidate("ratios", f"aspect ratios {_listed(ratios)}", ("MODEL.ANCHORS.ASPECT_RATIOS", _listed(ratios)))
        for ratios in sorted(distinct)
        if len(ratios) <= _MOST_RATIOS
    ]


def _differ(ratios: Sequence[float]) -> bool:
    return all(high >= _APART * low for low, high in pairwise(ratios))


def _listed(numbers: Sequence[float]) -> str:
    return f"[{', '.join(f'{float(number)}' for number in numbers)}]"


def _input_sizes(datasets: CfgNode) -> list[Candidate]:
    """Return larger inputs, where the transforms name a size of their own."""
    found = []
    for factor in _LARGER:
        overrides: list[str] = []
        for key in _RESIZES:
            for index, node in enumerate(datasets[key]):
                if node["NAME"] == "ResizeShortestEdge":
                    overrides += _enlarged(node, f"DATASETS.{key}.{index}", factor)
        if any(".TRAIN_" in key for key in overrides[::2]):
            found.append(Candidate("input", f"input images {factor:.3g} times as high and wide", tuple(overrides)))
    return found


def _enlarged(node: Any, path: str, factor: float) -> list[str]:
    sizes = [round(size * factor) for size in node["SIZES"]]
    return [f"{path}.SIZES", str(sizes), f"{path}.MAX_SIZE", str(round(node["MAX_SIZE"] * factor))]
