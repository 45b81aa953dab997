"""From the head to losses and detections: ANCHORS, BOX_CODER, MATCHER, LOSSES and DECODER."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dettoolkit.config.detectron2.settings import Settings

_ANCHORS, _HEAD = "MODEL.ANCHOR_GENERATOR", "MODEL.RETINANET"
_BOX_LOSSES = {"giou": "GIoULoss", "diou": "DIoULoss", "ciou": "CIoULoss"}
_SMALLEST_BETA = 1e-5  # below it fvcore, and so Detectron2, takes the smooth L1 loss for L1


def anchors_node(settings: Settings, levels: tuple[int, int]) -> dict[str, Any]:
    """Return ``MODEL.ANCHORS``: octaves of the strides where the sizes are such, or else the sizes themselves.

    Raises:
        ConfigError: another number of lists than of levels, or levels with different numbers of anchors.
    """
    if settings[f"{_ANCHORS}.NAME"] != "DefaultAnchorGenerator":
        settings.lose(f"{_ANCHORS}.NAME", f"{settings[f'{_ANCHORS}.NAME']} is not converted, only DefaultAnchorGenerator is")
    strides = [2**level for level in range(levels[0], levels[1] + 1)]
    sizes = _by_level(settings, f"{_ANCHORS}.SIZES", len(strides))
    ratios = _by_level(settings, f"{_ANCHORS}.ASPECT_RATIOS", len(strides))
    if any(level != ratios[0] for level in ratios):
        settings.lose(f"{_ANCHORS}.ASPECT_RATIOS", "all levels have the same aspect ratios here")
    octaves = _octaves(sizes, strides)
    node: dict[str, Any] = {"NAME": "GridAnchors", **(octaves or {}), "ASPECT_RATIOS": ratios[0]}
    if octaves is None:
        node["SIZES"] = sizes
    return {**node, "OFFSET": settings[f"{_ANCHORS}.OFFSET"]}


def coder_node(settings: Settings) -> dict[str, Any]:
    """Return ``MODEL.BOX_CODER``."""
    return {"NAME": "DeltaXYWHCoder", "WEIGHTS": settings[f"{_HEAD}.BBOX_REG_WEIGHTS"]}


def matcher_node(settings: Settings) -> dict[str, Any]:
    """Return ``MODEL.MATCHER``; Detectron2 leaves crowds out when it reads annotations, so they are background.

    Raises:
        ConfigError: labels that do not fit the thresholds.
    """
    thresholds, labels = settings[f"{_HEAD}.IOU_THRESHOLDS"], settings[f"{_HEAD}.IOU_LABELS"]
    if len(labels) != len(thresholds) + 1 or thresholds != sorted(thresholds) or not set(labels) <= {-1, 0, 1}:
        what = "expected a label of -1, 0 or 1 for each interval between ascending thresholds"
        raise settings.refuse(f"{_HEAD}.IOU_LABELS", f"{what}, got {labels} for {thresholds}")
    if labels != sorted(labels, key=[0, -1, 1].index) or labels[0] != 0 or labels[-1] != 1:
        settings.lose(f"{_HEAD}.IOU_LABELS", f"with rising overlap anchors are negative, ignored, positive here, not {labels}")
        labels, thresholds = [0, -1, 1], [0.4, 0.5]
    return {
        "NAME": "MaxIoUMatcher",
        "POSITIVE_FROM": thresholds[labels.index(1) - 1],
        "NEGATIVE_BELOW": thresholds[labels.count(0) - 1],
        "ALLOW_LOW_QUALITY": True,
        "IGNORE_CROWD_FROM": None,
    }


def losses_node(settings: Settings) -> dict[str, Any]:
    """Return ``MODEL.LOSSES``.

    Raises:
        ConfigError: a box loss that Detectron2 does not have.
    """
    alpha, kind = settings[f"{_HEAD}.FOCAL_LOSS_ALPHA"], settings[f"{_HEAD}.BBOX_REG_LOSS_TYPE"]
    box: dict[str, Any]
    if kind == "smooth_l1":
        beta = settings[f"{_HEAD}.SMOOTH_L1_LOSS_BETA"]
        box = {"NAME": "L1Loss"} if beta < _SMALLEST_BETA else {"NAME": "SmoothL1Loss", "BETA": beta}
    elif kind in _BOX_LOSSES:
        box = {"NAME": _BOX_LOSSES[kind]}
    else:
        raise settings.refuse(f"{_HEAD}.BBOX_REG_LOSS_TYPE", f"expected smooth_l1, giou, diou or ciou, got {kind!r}")
    # fvcore weighs neither side where alpha is negative
    focal = {"NAME": "FocalLoss", "ALPHA": alpha if alpha >= 0 else None, "GAMMA": settings[f"{_HEAD}.FOCAL_LOSS_GAMMA"]}
    return {"CLASSIFICATION": focal, "REGRESSION": box}


def decoder_node(settings: Settings) -> dict[str, Any]:
    """Return ``MODEL.DECODER``."""
    return {
        "SCORE_THRESHOLD": settings[f"{_HEAD}.SCORE_THRESH_TEST"],
        "CANDIDATES_PER_LEVEL": settings[f"{_HEAD}.TOPK_CANDIDATES_TEST"],
        "MAX_DETECTIONS": settings["TEST.DETECTIONS_PER_IMAGE"],
        "CLIP": "after_nms",
        "NMS": {"NAME": "BatchedNMS", "IOU_THRESHOLD": settings[f"{_HEAD}.NMS_THRESH_TEST"]},
    }


def _by_level(settings: Settings, key: str, count: int) -> list[list[float]]:
    """Return a list for each level; Detectron2 takes one list, or a list of one, for all levels."""
    values = settings[key]
    lists = values if values and isinstance(values[0], list) else [values]
    lists = lists * count if len(lists) == 1 else lists
    if len(lists) != count or not lists[0] or len({len(level) for level in lists}) != 1:
        raise settings.refuse(key, f"expected one list, or {count} of the same length, one a level; got {values}")
    return lists


def _octaves(sizes: Sequence[Sequence[float]], strides: Sequence[int]) -> dict[str, Any] | None:
    """Return the octaves that ``sizes`` are of the strides, or None where they are not."""
    count, base = len(sizes[0]), sizes[0][0] / strides[0]
    expected = [base * stride * 2 ** (i / count) for stride in strides for i in range(count)]
    given = [size for level in sizes for size in level]
    same = all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(expected, given, strict=True))  # beyond what float32 holds
    return {"SCALES_PER_OCTAVE": count, "BASE_SCALE": base} if same else None
