"""What the tests of models share: a seed, and configs of small detectors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.config import load_config

ModelConfig: TypeAlias = Callable[..., CfgNode]

SMALL = {
    "NUM_CLASSES": 3,
    "BACKBONE": {"NAME": "ResNet", "DEPTH": 18, "NORM": "BN"},
    "NECK": {"NAME": "FPN", "OUT_CHANNELS": 32},
    "HEAD": {"NAME": "RetinaNetHead", "NUM_CONVS": 1, "NORM": "GN"},
}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def model_config(tmp_path_factory: pytest.TempPathFactory) -> ModelConfig:
    """A function from keys of MODEL, laid over those of a small detector, to a complete config."""

    folder = tmp_path_factory.mktemp("configs")

    def config(**keys: Any) -> CfgNode:
        file = folder / "model.yaml"
        file.write_text(json.dumps({"MODEL": SMALL | keys}), encoding="utf-8")  # JSON is YAML
        return load_config(file)

    return config
