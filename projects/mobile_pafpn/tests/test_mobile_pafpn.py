"""MobileNetV3 and PAFPN keep their contracts; their config builds and trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from dettoolkit.config import load_config
from dettoolkit.errors import ConfigError
from dettoolkit.modeling import build_model
from dettoolkit.registry import BACKBONES, NECKS
from dettoolkit.structures import Annotations

CONFIG = Path(__file__).parents[1] / "configs" / "mobile_pafpn.yaml"


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    load_config(CONFIG)  # imports what PLUGINS names


def pafpn(norm: str = "none") -> Any:
    channels, strides = {"C3": 8, "C4": 16, "C5": 24}, {"C3": 8, "C4": 16, "C5": 32}
    node = {"NAME": "PAFPN", "OUT_CHANNELS": 4, "LEVELS": [3, 6], "NORM": norm}
    return NECKS.build(node, "MODEL.NECK", in_channels=channels, in_strides=strides)


def features(size: int) -> dict[str, torch.Tensor]:
    return {
        name: torch.randn(1, channels, size // stride, size // stride)
        for name, channels, stride in (("C3", 8, 8), ("C4", 16, 16), ("C5", 24, 32))
    }


@pytest.mark.parametrize("reduced_tail", [False, True])
def test_backbone_says_the_channels_and_strides_that_its_maps_have(reduced_tail: bool) -> None:
    backbone = BACKBONES.get("MobileNetV3")(reduced_tail=reduced_tail).eval()
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, 64, 96))
    assert {name: x.shape[1] for name, x in maps.items()} == backbone.channels
    assert {name: (64 // x.shape[2], 96 // x.shape[3]) for name, x in maps.items()} == {
        name: (stride, stride) for name, stride in backbone.strides.items()
    }


def test_second_way_is_the_formula() -> None:
    torch.manual_seed(0)
    neck, given = pafpn(), features(64)
    with torch.no_grad():
        p3, p4, p5, p6 = neck.pyramid(given)
        wanted = [p3]
        for level, p in enumerate((p4, p5, p6)):
            below = functional.relu(functional.conv2d(wanted[-1], *_weights(neck.down[level]), stride=2, padding=1))
            wanted.append(functional.relu(functional.conv2d(p + below, *_weights(neck.output[level]), padding=1)))
        torch.testing.assert_close(neck(given), wanted)


def _weights(layers: nn.Sequential) -> tuple[torch.Tensor, torch.Tensor]:
    return layers[0].weight, layers[0].bias


def test_a_coarse_map_sees_the_finest_one() -> None:
    neck, given = pafpn(), features(64)
    given["C3"].requires_grad_()
    neck(given)[-1].sum().backward()
    assert given["C3"].grad is not None
    assert given["C3"].grad.any()


def test_odd_maps_fit_each_other() -> None:
    maps = pafpn("BN").eval()(features(160))  # C5 is 5 x 5, P6 is 3 x 3
    assert [x.shape[-1] for x in maps] == [20, 10, 5, 3]


def test_wired_parameters_are_refused_in_a_config() -> None:
    node = {"NAME": "PAFPN", "IN_CHANNELS": {"C5": 8}}
    with pytest.raises(ConfigError, match=r"MODEL\.NECK\.IN_CHANNELS: is set by the parts around PAFPN"):
        NECKS.build(node, "MODEL.NECK", in_channels={"C5": 8}, in_strides={"C5": 32})


def test_the_config_builds_a_detector_that_learns() -> None:
    torch.manual_seed(0)
    model = build_model(load_config(CONFIG, ["MODEL.NUM_CLASSES", "2"]))
    assert type(model.backbone).__name__ == "MobileNetV3"
    assert type(model.neck).__name__ == "PAFPN"
    images, sizes = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8), [(64, 64)] * 2
    target = Annotations(torch.tensor([[8.0, 8.0, 48.0, 40.0]]), torch.tensor([1]), torch.tensor([False]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    totals = []
    for _ in range(4):
        output = model(images, sizes, [target, target])
        totals.append(output.total.item())
        optimizer.zero_grad()
        output.total.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
    assert totals[-1] < totals[0]
