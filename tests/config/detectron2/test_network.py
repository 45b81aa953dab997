"""INPUT, BACKBONE, NECK, HEAD and weights, away from the zoo's own numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dettoolkit.config.detectron2 import Conversion, convert_config
from dettoolkit.errors import ConfigError

R = "MODEL.RESNETS."
BACKBONE = {"NAME": "ResNet", "FREEZE_STAGES": 2, "STRIDE_IN_1X1": True}
ZOO = "https://dl.fbaipublicfiles.com/detectron2/"


@pytest.mark.parametrize(
    ("overrides", "node"),
    [
        (f"{R}DEPTH=101", {**BACKBONE, "DEPTH": 101}),
        (f"{R}STRIDE_IN_1X1=False", {"NAME": "ResNet", "FREEZE_STAGES": 2}),
        (
            f"{R}DEPTH=152 {R}NUM_GROUPS=64 {R}WIDTH_PER_GROUP=4 {R}STRIDE_IN_1X1=False MODEL.BACKBONE.FREEZE_AT=0",
            {"NAME": "ResNet", "DEPTH": 152, "GROUPS": 64, "WIDTH_PER_GROUP": 4},
        ),
        (f"{R}NORM=GN MODEL.BACKBONE.FREEZE_AT=1", {**BACKBONE, "NORM": "GN", "FREEZE_STAGES": 1}),
        (f"{R}NORM=nnSyncBN MODEL.BACKBONE.FREEZE_AT=9", {**BACKBONE, "NORM": "SyncBN", "FREEZE_STAGES": 5}),
        (f"{R}DEPTH=18 {R}RES2_OUT_CHANNELS=64", {"NAME": "ResNet", "DEPTH": 18, "FREEZE_STAGES": 2}),
    ],
)
def test_backbones(convert: Callable[..., Conversion], overrides: str, node: dict[str, Any]) -> None:
    done = convert(f"{overrides} MODEL.WEIGHTS=")
    assert done.config["MODEL"]["BACKBONE"] == node
    assert done.lost == []


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        ("MODEL.BACKBONE.NAME=build_resnet_fpn_backbone", "MODEL.BACKBONE.NAME"),  # its P6 is pooled from P5
        (f"{R}RES5_DILATION=2", f"{R}RES5_DILATION"),
        (f"{R}RES2_OUT_CHANNELS=128", f"{R}RES2_OUT_CHANNELS"),
        (f"{R}DEPTH=34", f"{R}RES2_OUT_CHANNELS"),  # 256 by default
        (f"{R}STEM_OUT_CHANNELS=32", f"{R}STEM_OUT_CHANNELS"),
        (f"{R}DEFORM_ON_PER_STAGE=[False,True,True,True] {R}DEFORM_MODULATED=True", f"{R}DEFORM_ON_PER_STAGE"),
        (f"{R}NORM=LN", f"{R}NORM"),
        ("MODEL.FPN.FUSE_TYPE=avg", "MODEL.FPN.FUSE_TYPE"),
        ("MODEL.FPN.NORM=GN", "MODEL.FPN.NORM"),  # not on P6 and P7 in Detectron2
        ("MODEL.FPN.NORM=FrozenBN", "MODEL.FPN.NORM"),
        ("MODEL.RETINANET.NORM=BN", "MODEL.RETINANET.NORM"),
        ("MODEL.RETINANET.NORM=FrozenBN", "MODEL.RETINANET.NORM"),
        ("MODEL.RETINANET.NORM=GN MODEL.FPN.OUT_CHANNELS=32", "MODEL.RETINANET.NORM"),
        ("MODEL.RETINANET.NORM=GN MODEL.FPN.OUT_CHANNELS=48", "MODEL.RETINANET.NORM"),
        ("MODEL.RETINANET.IN_FEATURES=['p3','p5']", "MODEL.RETINANET.IN_FEATURES"),
        ("MODEL.RETINANET.IN_FEATURES=['p3','p4']", "MODEL.RETINANET.IN_FEATURES"),
        ("MODEL.RETINANET.IN_FEATURES=['p2','p3','p4','p5']", "MODEL.RETINANET.IN_FEATURES"),
        ("MODEL.FPN.IN_FEATURES=['res3','res5']", "MODEL.FPN.IN_FEATURES"),
        ("INPUT.FORMAT=L", "INPUT.FORMAT"),
        ("MODEL.PIXEL_MEAN=[1.0] MODEL.PIXEL_STD=[1.0]", "MODEL.PIXEL_MEAN"),
        ("MODEL.MASK_ON=True", "MODEL.MASK_ON"),
        ("MODEL.KEYPOINT_ON=True", "MODEL.KEYPOINT_ON"),
        ("MODEL.WEIGHTS=catalog://ImageNetPretrained/FAIR/X-101-32x8d", "MODEL.WEIGHTS"),
    ],
)
def test_what_has_no_equivalent(lost: Callable[..., list[str]], overrides: str, key: str) -> None:
    assert lost(overrides) == [key]


def test_group_norm_in_the_head_and_other_classes(convert: Callable[..., Conversion]) -> None:
    done = convert(
        "MODEL.RETINANET.NORM=GN MODEL.RETINANET.NUM_CONVS=2 MODEL.RETINANET.PRIOR_PROB=0.05 MODEL.RETINANET.NUM_CLASSES=7"
    )
    assert done.lost == []
    assert done.config["MODEL"]["NUM_CLASSES"] == 7
    assert done.config["MODEL"]["HEAD"] == {"NAME": "RetinaNetHead", "NUM_CONVS": 2, "NORM": "GN", "PRIOR_PROBABILITY": 0.05}


def test_pictures_in_torchvisions_way(convert: Callable[..., Conversion]) -> None:
    mean, std = "[123.675,116.28,103.53]", "[58.395,57.12,57.375]"
    torchvision = convert(f"INPUT.FORMAT=RGB MODEL.PIXEL_MEAN={mean} MODEL.PIXEL_STD={std}")
    assert "INPUT" not in torchvision.config["MODEL"]  # as by default
    own = convert("INPUT.FORMAT=RGB MODEL.PIXEL_MEAN=(1.5,2,3.5) MODEL.PIXEL_STD=(4.5,5,6)")
    assert own.config["MODEL"]["INPUT"] == {"PIXEL_MEAN": [1.5, 2.0, 3.5], "PIXEL_STD": [4.5, 5.0, 6.0]}
    bgr = convert("MODEL.PIXEL_STD=[57.375,57.120,58.395]")
    assert bgr.config["MODEL"]["INPUT"] == {
        "CHANNEL_ORDER": "BGR",
        "PIXEL_MEAN": [103.53, 116.28, 123.675],
        "PIXEL_STD": [57.375, 57.12, 58.395],
    }
    assert torchvision.lost == own.lost == bgr.lost == []


@pytest.mark.parametrize(
    ("overrides", "levels"),
    [
        ("MODEL.RETINANET.IN_FEATURES=['p3','p4','p5','p6']", [3, 6]),
        ("MODEL.RETINANET.IN_FEATURES=['p4','p5','p6','p7']", [4, 7]),
        ("MODEL.RETINANET.IN_FEATURES=['p3','p4','p5'] MODEL.FPN.NORM=GN", [3, 5]),  # the norm is on all of these
    ],
)
def test_levels_that_the_head_leaves_out_at_the_ends(
    convert: Callable[..., Conversion], overrides: str, levels: list[int]
) -> None:
    done = convert(f"{overrides} MODEL.ANCHOR_GENERATOR.SIZES=[[16,32]]")
    assert done.lost == []
    assert done.config["MODEL"]["NECK"]["LEVELS"] == levels
    assert len(done.config["MODEL"]["ANCHORS"]["SIZES"]) == levels[1] - levels[0] + 1


def test_a_level_more_below(convert: Callable[..., Conversion]) -> None:
    res = "['res2','res3','res4','res5']"
    features = f"MODEL.RESNETS.OUT_FEATURES={res} MODEL.FPN.IN_FEATURES={res}"
    done = convert(
        f"{features} MODEL.RETINANET.IN_FEATURES=['p2','p3','p4','p5','p6','p7'] MODEL.ANCHOR_GENERATOR.SIZES=[[16]]"
    )
    assert done.lost == []
    assert done.config["MODEL"]["NECK"] == {"NAME": "FPN", "LEVELS": [2, 7]}


@pytest.mark.parametrize(
    ("address", "of_model", "of_backbone"),
    [
        ("", "", ""),
        ("detectron2://ImageNetPretrained/FAIR/X-101-32x8d.pkl", "", f"{ZOO}ImageNetPretrained/FAIR/X-101-32x8d.pkl"),
        ("~/weights/R-50.pkl", "", "~/weights/R-50.pkl"),
        ("R-101-GN.pkl", "", "R-101-GN.pkl"),
        ("r50.pkl", "", "r50.pkl"),
        ("output/model_final.pth", "output/model_final.pth", ""),
        ("https://example.org/retinanet_R_50.pkl", "https://example.org/retinanet_R_50.pkl", ""),
        ("runs/R_50_FPN_1x.pth", "runs/R_50_FPN_1x.pth", ""),
    ],
)
def test_weights(convert: Callable[..., Conversion], address: str, of_model: str, of_backbone: str) -> None:
    model = convert(f"MODEL.WEIGHTS={address}").config["MODEL"]
    assert (model.get("WEIGHTS", ""), model["BACKBONE"].get("WEIGHTS", "")) == (of_model, of_backbone)


@pytest.mark.parametrize(("device", "ours"), [("cuda", None), ("cpu", "cpu"), ("cuda:1", "cuda:1")])
def test_devices(convert: Callable[..., Conversion], device: str, ours: str | None) -> None:
    assert convert(f"MODEL.DEVICE={device}").config["MODEL"].get("DEVICE") == ours


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        (
            "MODEL.META_ARCHITECTURE=GeneralizedRCNN",
            r"override MODEL\.META_ARCHITECTURE\): expected RetinaNet.* got GeneralizedRCNN",
        ),
        ("VERSION=1", "expected a config of version 2, got 1"),
        (
            "MODEL.RESNETS.OUT_FEATURES=['res4']",
            r"MODEL\.FPN\.IN_FEATURES .*wants res\d, which MODEL\.RESNETS\.OUT_FEATURES does not name",
        ),
        ("MODEL.FPN.IN_FEATURES=[]", r"MODEL\.FPN\.IN_FEATURES .*names no maps"),
    ],
)
def test_what_detectron2_itself_or_dettoolkit_cannot_build(
    convert: Callable[..., Conversion], overrides: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        convert(overrides)


def test_another_architecture_by_default(write: Callable[..., str]) -> None:
    with pytest.raises(ConfigError, match=r"MODEL\.META_ARCHITECTURE \(Detectron2's default\): .*got GeneralizedRCNN"):
        convert_config(write("SOLVER: {MAX_ITER: 10}\n"))
