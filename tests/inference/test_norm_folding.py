"""Norms folded into convolutions: the same numbers, and only where it is safe."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dettoolkit.config import load_config
from dettoolkit.inference.norm_folding import with_folded_norms
from dettoolkit.modeling import build_model
from dettoolkit.modeling.layers import FrozenBatchNorm2d


def spread(model: nn.Module) -> nn.Module:
    """Give norms statistics such as a trained network has."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm2d, FrozenBatchNorm2d)):
            for name, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5), ("running_var", 0.5)):
                value = getattr(module, name)
                value.data.copy_(low + torch.rand(value.shape, generator=generator))
    return model.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, (nn.BatchNorm2d, FrozenBatchNorm2d)) for module in model.modules())


@pytest.mark.parametrize(
    ("backbone", "neck", "left"),
    [
        ("{NAME: ResNet, DEPTH: 18, NORM: FrozenBN}", "none", 0),
        ("{NAME: ResNet, DEPTH: 18, NORM: BN, FREEZE_STAGES: 0}", "BN", 0),
        ("{NAME: ResNet, DEPTH: 18, NORM: GN}", "GN", 0),
    ],
)
@torch.no_grad()
def test_the_numbers_of_a_detector_are_the_same(backbone: str, neck: str, left: int) -> None:
    torch.manual_seed(0)
    overrides = ["MODEL.NUM_CLASSES", "3", "MODEL.BACKBONE", backbone, "MODEL.NECK.NORM", neck, "MODEL.HEAD.NORM", "none"]
    model: Any = spread(build_model(load_config("tiny.yaml", overrides)))
    names, before = list(model.state_dict()), norms(model)
    folded = with_folded_norms(model)
    assert norms(folded) == left
    assert (folded is model) == (before == 0)
    assert list(model.state_dict()) == names  # the detector itself stays as it is
    pixels = torch.randint(256, (1, 3, 64, 96), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    expected, found = (each.predictions(pixels, [(64, 96)]) for each in (model, folded))
    for one, other in zip([*expected.logits, *expected.deltas], [*found.logits, *found.deltas], strict=True):
        torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5 * float(one.abs().max()))


def test_norms_that_a_shared_head_keeps_apart_by_level_stay() -> None:
    model = spread(build_model(load_config("tiny.yaml", ["MODEL.NUM_CLASSES", "3", "MODEL.HEAD.NORM", "BN"])))
    folded = with_folded_norms(model)
    assert norms(folded.head) == norms(model.head) > 0  # type: ignore[arg-type]
    assert norms(folded.backbone) == 0


class Part(nn.Module):
    """A backbone of two convolutions and norms, used as ``kind`` says."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.first, self.norm = nn.Conv2d(3, 3, 1), FrozenBatchNorm2d(3)
        self.second = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "norm first":
            return self.second(self.norm(x))
        if self.kind == "map used twice":
            map_ = self.first(x)
            return self.norm(map_) + map_
        if self.kind == "convolution used twice":
            return self.norm(self.first(self.first(x)))
        if self.kind == "norm used twice":
            return self.norm(self.second(self.norm(self.first(x))))
        if self.kind == "not traceable":
            return self.norm(self.first(x)) if x.sum() > 0 else x
        return self.second(self.norm(self.first(x)))


@pytest.mark.parametrize(
    ("kind", "left"),
    [
        ("a norm after a convolution", 0),
        ("norm first", 1),
        ("map used twice", 1),
        ("convolution used twice", 1),
        ("norm used twice", 1),
        ("not traceable", 1),
    ],
)
@torch.no_grad()
def test_only_a_norm_that_alone_uses_a_convolution_is_folded(kind: str, left: int) -> None:
    model: Any = nn.Module()
    model.backbone = Part(kind)
    spread(model)
    folded = with_folded_norms(model)
    assert norms(folded) == left
    x = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(folded.backbone(x), model.backbone(x), rtol=1e-5, atol=1e-6)


def test_a_norm_in_training_mode_stays() -> None:
    model: Any = nn.Module()
    model.backbone = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
    assert with_folded_norms(model.train()) is model


def test_what_is_no_module_is_left_alone() -> None:
    class Exported:
        backbone = "none"

    model = Exported()
    assert with_folded_norms(model) is model
