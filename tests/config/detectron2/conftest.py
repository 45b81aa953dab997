"""The RetinaNets of Detectron2's model zoo: the keys that their files set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dettoolkit.config.detectron2 import Conversion, convert_config

# configs/Base-RetinaNet.yaml, configs/COCO-Detection and configs/quick_schedules of github.com/facebookresearch/detectron2
ZOO = {
    "Base-RetinaNet.yaml": """
MODEL:
  META_ARCHITECTURE: "RetinaNet"
  BACKBONE: {NAME: "build_retinanet_resnet_fpn_backbone"}
  RESNETS: {OUT_FEATURES: ["res3", "res4", "res5"]}
  ANCHOR_GENERATOR:
    SIZES: !!python/object/apply:eval ["[[x, x * 2**(1.0/3), x * 2**(2.0/3) ] for x in [32, 64, 128, 256, 512 ]]"]
  FPN: {IN_FEATURES: ["res3", "res4", "res5"]}
  RETINANET: {IOU_THRESHOLDS: [0.4, 0.5], IOU_LABELS: [0, -1, 1], SMOOTH_L1_LOSS_BETA: 0.0}
DATASETS:
  TRAIN: ("coco_2017_train",)
  TEST: ("coco_2017_val",)
SOLVER:
  IMS_PER_BATCH: 16
  BASE_LR: 0.01
  STEPS: (60000, 80000)
  MAX_ITER: 90000
INPUT:
  MIN_SIZE_TRAIN: (640, 672, 704, 736, 768, 800)
VERSION: 2
""",
    "COCO-Detection/retinanet_R_50_FPN_1x.yaml": """
_BASE_: "../Base-RetinaNet.yaml"
MODEL: {WEIGHTS: "detectron2://ImageNetPretrained/MSRA/R-50.pkl", RESNETS: {DEPTH: 50}}
""",
    "COCO-Detection/retinanet_R_50_FPN_3x.yaml": """
_BASE_: "../Base-RetinaNet.yaml"
MODEL: {WEIGHTS: "detectron2://ImageNetPretrained/MSRA/R-50.pkl", RESNETS: {DEPTH: 50}}
SOLVER:
  STEPS: (210000, 250000)
  MAX_ITER: 270000
""",
    "COCO-Detection/retinanet_R_101_FPN_3x.yaml": """
_BASE_: "../Base-RetinaNet.yaml"
MODEL: {WEIGHTS: "detectron2://ImageNetPretrained/MSRA/R-101.pkl", RESNETS: {DEPTH: 101}}
SOLVER:
  STEPS: (210000, 250000)
  MAX_ITER: 270000
""",
    "quick_schedules/retinanet_R_50_FPN_inference_acc_test.yaml": """
_BASE_: "../COCO-Detection/retinanet_R_50_FPN_3x.yaml"
MODEL: {WEIGHTS: "detectron2://COCO-Detection/retinanet_R_50_FPN_3x/190397829/model_final_5bd44e.pkl"}
DATASETS:
  TEST: ("coco_2017_val_100",)
TEST: {EXPECTED_RESULTS: [["bbox", "AP", 44.45, 0.02]]}
""",
    "quick_schedules/retinanet_R_50_FPN_instant_test.yaml": """
_BASE_: "../COCO-Detection/retinanet_R_50_FPN_1x.yaml"
MODEL: {WEIGHTS: "detectron2://ImageNetPretrained/MSRA/R-50.pkl"}
DATASETS:
  TRAIN: ("coco_2017_val_100",)
  TEST: ("coco_2017_val_100",)
SOLVER: {BASE_LR: 0.005, STEPS: "(30,)", MAX_ITER: 40, IMS_PER_BATCH: 4}
DATALOADER: {NUM_WORKERS: 2}
""",
}


@pytest.fixture
def zoo(write: Callable[..., str]) -> dict[str, str]:
    """The files of the zoo in the current folder, by the last part of their names."""
    return {Path(name).stem.removeprefix("retinanet_"): write(text, name) for name, text in ZOO.items()}


@pytest.fixture
def convert(zoo: dict[str, str]) -> Callable[..., Conversion]:
    """Converts retinanet_R_50_FPN_1x with overrides in one string: ``KEY=VALUE KEY=VALUE``."""

    def convert(overrides: str = "", name: str = "R_50_FPN_1x") -> Conversion:
        pairs = [pair.split("=") for pair in overrides.split()]
        return convert_config(zoo[name], [word for pair in pairs for word in pair])

    return convert


@pytest.fixture
def lost(convert: Callable[..., Conversion]) -> Callable[..., list[str]]:
    """Converts in the same way and returns the keys whose loss changes results."""
    return lambda overrides: [finding.key for finding in convert(overrides).lost]
