"""Detectron2's names: those of a real model of its own, and what stands beside them in its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dettoolkit.checkpoint.converters import detectron2
from dettoolkit.config import load_config
from dettoolkit.modeling import build_model

R50 = ["MODEL.NUM_CLASSES", "80", "MODEL.BACKBONE.WEIGHTS", "", "MODEL.BACKBONE.NORM", "FrozenBN"]


@pytest.fixture(scope="module")
def zoo_shapes(real_data: Path) -> dict[str, list[int]]:
    """Name -> shape of each parameter of Detectron2's retinanet_R_50_FPN_1x."""
    file = real_data / "detectron2_reference" / "d2_r50.json"
    if not file.is_file():
        pytest.skip("no detectron2_reference among the real data")
    return json.loads(file.read_text(encoding="utf-8"))["parameters"]


def test_every_name_of_the_zoos_retinanet_has_its_place(zoo_shapes: dict[str, list[int]]) -> None:
    state = {name: torch.empty(shape, device="meta") for name, shape in zoo_shapes.items()}
    done = detectron2.to_dettoolkit(state)
    assert (done.unknown, done.left_over, done.filled, done.problems) == ([], {}, {}, [])
    with torch.device("meta"):
        model = build_model(load_config("retinanet/retinanet_r50_fpn_1x.yaml", R50))
    ours = {name: value for name, value in model.state_dict().items() if not name.startswith("criterion.")}
    assert {name: value.shape for name, value in done.state.items()} == {name: value.shape for name, value in ours.items()}


def test_and_back(zoo_shapes: dict[str, list[int]]) -> None:
    done = detectron2.from_dettoolkit(detectron2.to_dettoolkit(zoo_shapes).state)
    assert done.state == zoo_shapes
