"""ANCHORS, MATCHER, LOSSES, BOX_CODER and DECODER, away from the zoo's own numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from dettoolkit.config.detectron2 import Conversion
from dettoolkit.errors import ConfigError
from dettoolkit.registry import ANCHORS

A, N = "MODEL.ANCHOR_GENERATOR.", "MODEL.RETINANET."
STRIDES = [8, 16, 32, 64, 128]


def cell_anchors(sizes: list[float], ratios: list[float]) -> torch.Tensor:
    """Detectron2's formula: the area is size squared, height = ratio * width; ratios vary fastest."""
    sides = [(math.sqrt(size**2 / ratio), ratio * math.sqrt(size**2 / ratio)) for size in sizes for ratio in ratios]
    return torch.tensor([[-w / 2, -h / 2, w / 2, h / 2] for w, h in sides])


def levels(smallest: list[float]) -> list[list[float]]:
    """Return sizes that double from level to level."""
    return [[size * 2**level for size in smallest] for level in range(5)]


THIRDS = levels([32 * 2 ** (i / 3) for i in range(3)])  # the zoo's
HALVES = levels([24, 24 * 2**0.5])
FALLING = levels([45, 32])


@pytest.mark.parametrize(
    ("overrides", "keys", "sizes", "ratios"),
    [
        ("", set(), THIRDS, [0.5, 1.0, 2.0]),
        (f"{A}SIZES={HALVES}", {"SCALES_PER_OCTAVE", "BASE_SCALE"}, HALVES, [0.5, 1.0, 2.0]),
        (f"{A}SIZES={levels([32])}", {"SCALES_PER_OCTAVE"}, levels([32]), [0.5, 1.0, 2.0]),
        (f"{A}SIZES={FALLING}", {"SIZES"}, FALLING, [0.5, 1.0, 2.0]),  # the order of anchors is that of the weights
        (f"{A}SIZES=[[32,45]]", {"SIZES"}, [[32, 45]] * 5, [0.5, 1.0, 2.0]),
        (f"{A}SIZES=[32,45]", {"SIZES"}, [[32, 45]] * 5, [0.5, 1.0, 2.0]),
        (f"{A}ASPECT_RATIOS=[[1,3]]", {"ASPECT_RATIOS"}, THIRDS, [1, 3]),
        (f"{A}ASPECT_RATIOS=[2,1] {A}SIZES=[[50]]", {"ASPECT_RATIOS", "SIZES"}, [[50]] * 5, [2, 1]),
    ],
)
def test_anchors_are_detectron2s(
    convert: Callable[..., Conversion], overrides: str, keys: set[str], sizes: list[list[float]], ratios: list[float]
) -> None:
    done = convert(overrides.replace(", ", ","))
    node = done.config["MODEL"].get("ANCHORS", {"NAME": "GridAnchors"})
    assert done.lost == []
    assert node.keys() - {"NAME"} == keys
    anchors = ANCHORS.build(node, "MODEL.ANCHORS", strides=STRIDES)
    for shapes, level in zip(anchors.shapes, sizes, strict=True):
        torch.testing.assert_close(shapes, cell_anchors(level, ratios), rtol=1e-6, atol=0)


def test_the_offset_of_anchors(convert: Callable[..., Conversion]) -> None:
    assert convert(f"{A}OFFSET=0.5").config["MODEL"]["ANCHORS"] == {"NAME": "GridAnchors", "OFFSET": 0.5}


@pytest.mark.parametrize(
    "overrides",
    [
        f"{A}SIZES=[[32],[64]]",
        f"{A}SIZES=[[32],[64],[128],[256],[512,600]]",
        f"{A}SIZES=[]",
        f"{A}SIZES=[[]]",
        f"{A}ASPECT_RATIOS=[[1],[2]]",
    ],
)
def test_anchors_that_detectron2_cannot_build_either(convert: Callable[..., Conversion], overrides: str) -> None:
    with pytest.raises(ConfigError, match=r"expected one list, or 5 of the same length, one a level; got \["):
        convert(overrides)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (f"{A}NAME=RotatedAnchorGenerator", f"{A}NAME"),
        (f"{A}ASPECT_RATIOS=[[1],[1],[1],[1],[2]]", f"{A}ASPECT_RATIOS"),
        (f"{N}IOU_LABELS=[0,1,-1]", f"{N}IOU_LABELS"),
        (f"{N}IOU_LABELS=[-1,0,1]", f"{N}IOU_LABELS"),
        (f"{N}IOU_LABELS=[0,0,-1]", f"{N}IOU_LABELS"),
        (f"{N}IOU_LABELS=[-1,-1,1]", f"{N}IOU_LABELS"),
    ],
)
def test_what_has_no_equivalent(lost: Callable[..., list[str]], overrides: str, key: str) -> None:
    assert lost(overrides) == [key]


@pytest.mark.parametrize(
    ("thresholds", "labels", "negative_below", "positive_from"),
    [
        ([0.3, 0.6], [0, -1, 1], 0.3, 0.6),
        ([0.5], [0, 1], 0.5, 0.5),
        ([0.4, 0.5], [0, 0, 1], 0.5, 0.5),
        ([0.4, 0.5], [0, 1, 1], 0.4, 0.4),
        ([0.2, 0.3, 0.4, 0.5], [0, 0, -1, -1, 1], 0.3, 0.5),
    ],
)
def test_matchers(
    convert: Callable[..., Conversion], thresholds: list[float], labels: list[int], negative_below: float, positive_from: float
) -> None:
    pairs = f"{N}IOU_THRESHOLDS={thresholds} {N}IOU_LABELS={labels}".replace(", ", ",")
    done = convert(pairs)
    node = {"POSITIVE_FROM": 0.5, "NEGATIVE_BELOW": 0.4, "ALLOW_LOW_QUALITY": True, **done.config["MODEL"]["MATCHER"]}
    assert done.lost == []
    assert node == {
        "NAME": "MaxIoUMatcher",
        "POSITIVE_FROM": positive_from,
        "NEGATIVE_BELOW": negative_below,
        "ALLOW_LOW_QUALITY": True,
        "IGNORE_CROWD_FROM": None,
    }


@pytest.mark.parametrize(
    "overrides",
    [f"{N}IOU_LABELS=[0,1]", f"{N}IOU_THRESHOLDS=[0.5,0.4]", f"{N}IOU_LABELS=[0,-1,2]"],
)
def test_matchers_that_detectron2_cannot_build_either(convert: Callable[..., Conversion], overrides: str) -> None:
    with pytest.raises(ConfigError, match="expected a label of -1, 0 or 1 for each interval between ascending thresholds"):
        convert(overrides)


@pytest.mark.parametrize(
    ("overrides", "losses"),
    [
        ("", {"REGRESSION": {"NAME": "L1Loss"}}),
        (f"{N}SMOOTH_L1_LOSS_BETA=0.000009", {"REGRESSION": {"NAME": "L1Loss"}}),  # fvcore: L1 below 1e-5
        (f"{N}SMOOTH_L1_LOSS_BETA=0.11", {"REGRESSION": {"NAME": "SmoothL1Loss", "BETA": 0.11}}),
        (f"{N}BBOX_REG_LOSS_TYPE=giou", {"REGRESSION": {"NAME": "GIoULoss"}}),
        (f"{N}BBOX_REG_LOSS_TYPE=diou", {"REGRESSION": {"NAME": "DIoULoss"}}),
        (f"{N}BBOX_REG_LOSS_TYPE=ciou", {"REGRESSION": {"NAME": "CIoULoss"}}),
        (
            f"{N}FOCAL_LOSS_ALPHA=0.5 {N}FOCAL_LOSS_GAMMA=1.5 {N}SMOOTH_L1_LOSS_BETA=0.1",
            {"CLASSIFICATION": {"NAME": "FocalLoss", "ALPHA": 0.5, "GAMMA": 1.5}},
        ),
        (
            f"{N}FOCAL_LOSS_ALPHA=-1 {N}SMOOTH_L1_LOSS_BETA=0.1",  # fvcore: no weights
            {"CLASSIFICATION": {"NAME": "FocalLoss", "ALPHA": None}},
        ),
    ],
)
def test_losses(convert: Callable[..., Conversion], overrides: str, losses: dict[str, Any]) -> None:
    assert convert(overrides).config["MODEL"]["LOSSES"] == losses


def test_an_unknown_box_loss(convert: Callable[..., Conversion]) -> None:
    with pytest.raises(ConfigError, match=r"BBOX_REG_LOSS_TYPE .*expected smooth_l1, giou, diou or ciou, got 'iou'"):
        convert(f"{N}BBOX_REG_LOSS_TYPE=iou")


def test_boxes_and_their_decoding(convert: Callable[..., Conversion]) -> None:
    done = convert(
        f"{N}BBOX_REG_WEIGHTS=(10.0,10,5,5) {N}SCORE_THRESH_TEST=0.01 {N}TOPK_CANDIDATES_TEST=500 "
        f"{N}NMS_THRESH_TEST=0.6 TEST.DETECTIONS_PER_IMAGE=300"
    )
    assert done.lost == []
    assert done.config["MODEL"]["BOX_CODER"] == {"NAME": "DeltaXYWHCoder", "WEIGHTS": [10.0, 10.0, 5.0, 5.0]}
    assert done.config["MODEL"]["DECODER"] == {
        "SCORE_THRESHOLD": 0.01,
        "CANDIDATES_PER_LEVEL": 500,
        "MAX_DETECTIONS": 300,
        "CLIP": "after_nms",
        "NMS": {"NAME": "BatchedNMS", "IOU_THRESHOLD": 0.6},
    }
