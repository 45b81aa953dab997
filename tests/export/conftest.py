"""A small detector that finds things at random, and files exported of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.checkpoint import write
from dettoolkit.config import dump_config, load_config
from dettoolkit.export import Check, export_detector
from dettoolkit.inference.stored_detector import StoredDetector
from dettoolkit.modeling import build_model
from dettoolkit.structures import DatasetInfo

PLUGIN = Path(__file__).parents[1] / "engine/small_backbone.py"
CLASSES = ("disc", "ring", "square")
RESIZE = "[{NAME: ResizeShortestEdge, SIZES: [72], MAX_SIZE: 120}]"

Exported = tuple[Path, list[Check]]


def small_cfg(*overrides: str) -> CfgNode:
    """A detector of two levels whose images are resized to sizes that need padding."""
    given = ["PLUGINS", f"[{PLUGIN.as_posix()}]", "MODEL.BACKBONE", "{NAME: SmallBackbone}", "MODEL.NUM_CLASSES", "3"]
    given += ["MODEL.NECK.LEVELS", "[4, 5]", "MODEL.NECK.OUT_CHANNELS", "16", "DATASETS.TEST_TRANSFORMS", RESIZE]
    return load_config("tiny.yaml", [*given, *overrides])


def small_model(cfg: CfgNode) -> Any:
    torch.manual_seed(0)
    model: Any = build_model(cfg).eval()
    with torch.no_grad():  # so that scores spread instead of all being the prior, and boxes are no longer anchors
        model.head.classification.weight.normal_(0, 1)
        model.head.classification.bias.fill_(-2)
        model.head.box.weight.normal_(0, 0.3)
    return model


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cfg = small_cfg()
    data = {"model": small_model(cfg).state_dict(), "config": dump_config(cfg), "iteration": 0}
    path = tmp_path_factory.mktemp("run") / "model_final.pth"
    write(path, {**data, "dataset": DatasetInfo("tiny", CLASSES, (7, 8, 9)).to_dict()})
    return path


@pytest.fixture(scope="session")
def stored(checkpoint: Path) -> StoredDetector:
    return StoredDetector.read(checkpoint, [PLUGIN])


@pytest.fixture(scope="session")
def exported(stored: StoredDetector, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Exported]:
    """Export once for each format and place of NMS."""
    done: dict[tuple[str, str], Exported] = {}
    folder = tmp_path_factory.mktemp("exported")

    def export(format: str, nms: Any) -> Exported:
        if (format, nms) not in done:
            path = folder / f"{nms}{'.onnx' if format == 'onnx' else '.pt2'}"
            done[format, nms] = path, export_detector(stored, path, format, nms)
        return done[format, nms]

    return export
