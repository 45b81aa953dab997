"""A detector that finds things at random, in a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.checkpoint import write
from dettoolkit.config import dump_config, load_config
from dettoolkit.modeling import build_model
from dettoolkit.structures import DatasetInfo

CLASSES = ("disc", "ring", "square")
RESIZE = "[{NAME: ResizeShortestEdge, SIZES: [72], MAX_SIZE: 120}]"


@pytest.fixture(scope="session")
def cfg() -> CfgNode:
    """A small detector whose images are resized to sizes that need padding."""
    return load_config("tiny.yaml", ["MODEL.NUM_CLASSES", "3", "DATASETS.TEST_TRANSFORMS", RESIZE])


@pytest.fixture(scope="session")
def checkpoint_data(cfg: CfgNode) -> dict[str, Any]:
    torch.manual_seed(0)
    model = build_model(cfg)
    with torch.no_grad():  # so that scores spread instead of all being the prior
        model.head.classification.weight.normal_(0, 0.5)
    info = DatasetInfo("tiny", CLASSES)
    return {"model": model.state_dict(), "config": dump_config(cfg), "dataset": info.to_dict(), "iteration": 0}


@pytest.fixture(scope="session")
def checkpoint(checkpoint_data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model_final.pth"
    write(path, checkpoint_data)
    return path


@pytest.fixture
def changed_checkpoint(checkpoint_data: dict[str, Any], tmp_path: Path) -> Callable[..., Path]:
    """Write the checkpoint with some entries replaced, or left out where they are None."""

    def write_changed(**changes: Any) -> Path:
        path = tmp_path / "changed.pth"
        write(path, {key: value for key, value in {**checkpoint_data, **changes}.items() if value is not None})
        return path

    return write_changed
