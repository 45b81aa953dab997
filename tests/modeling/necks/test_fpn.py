"""Feature pyramids against torchvision's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import ops
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from dettoolkit.modeling.necks import FPN

CHANNELS = {"C2": 6, "C3": 8, "C4": 10, "C5": 12}
STRIDES = {"C2": 4, "C3": 8, "C4": 16, "C5": 32}


def features(height: int = 64, width: int = 96) -> dict[str, Tensor]:
    """Return maps of an image, rounded up as the convolutions of a backbone do."""
    generator = torch.Generator().manual_seed(0)
    sides = {level: (-(-height // stride), -(-width // stride)) for level, stride in STRIDES.items()}
    return {level: torch.randn(2, CHANNELS[level], *side, generator=generator) for level, side in sides.items()}


def by_torchvision(neck: FPN, maps: dict[str, Tensor], levels: list[str], extra_from: str | None) -> list[Tensor]:
    """Return what torchvision's pyramid makes of the maps with the neck's weights."""
    out = neck.channels
    extra = LastLevelP6P7(CHANNELS["C5"] if extra_from == "C5" else out, out) if extra_from else None
    pyramid = ops.FeaturePyramidNetwork([CHANNELS[level] for level in levels], out, extra_blocks=extra)
    state = {}
    for index, level in enumerate(levels):
        for name, ours in (("inner_blocks", neck.lateral), ("layer_blocks", neck.output)):
            convolution = ours[f"P{level[1:]}"][0]
            state[f"{name}.{index}.0.weight"], state[f"{name}.{index}.0.bias"] = convolution.weight, convolution.bias
    if extra_from:
        for name in ("p6", "p7"):
            convolution = neck.extra[name.upper()][0]
            state[f"extra_blocks.{name}.weight"], state[f"extra_blocks.{name}.bias"] = convolution.weight, convolution.bias
    pyramid.load_state_dict(state)
    return list(pyramid({level: maps[level] for level in levels}).values())


def with_biases(neck: FPN) -> FPN:
    for name, parameter in neck.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    return neck


@pytest.mark.parametrize("size", [(64, 96), (97, 133), (33, 31)], ids=["even", "odd", "tiny"])
@pytest.mark.parametrize("extra_from", ["C5", "P5"])
@torch.no_grad()
def test_maps_are_torchvisions(size: tuple[int, int], extra_from: Any) -> None:
    neck = with_biases(FPN(CHANNELS, STRIDES, 12, (3, 7), extra_from))  # C5 has 12 channels: torchvision takes P5 by width
    maps = features(*size)
    if extra_from == "C5":
        neck = with_biases(FPN(CHANNELS, STRIDES, 16, (3, 7), "C5"))
    ours, expected = neck(maps), by_torchvision(neck, maps, ["C3", "C4", "C5"], extra_from)
    assert len(ours) == len(expected) == 5
    for x, wanted in zip(ours, expected, strict=True):
        torch.testing.assert_close(x, wanted, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_p7_may_be_made_of_p6_as_it_is() -> None:
    neck = FPN(CHANNELS, STRIDES, 12, (3, 7), "C5", relu_between_extra_levels=False)
    p6, p7 = neck(features())[3:]
    assert (p6 < 0).any()
    torch.testing.assert_close(p7, nn.functional.conv2d(p6, neck.extra["P7"][0].weight, stride=2, padding=1))


@torch.no_grad()
def test_maps_without_extra_levels_are_torchvisions() -> None:
    neck, maps = with_biases(FPN(CHANNELS, STRIDES, 16, (2, 5))), features()
    for x, wanted in zip(neck(maps), by_torchvision(neck, maps, list(CHANNELS), None), strict=True):
        torch.testing.assert_close(x, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("levels", [(first, last) for first in range(2, 6) for last in range(first, 8)])
@torch.no_grad()
def test_any_levels_within_two_and_seven(levels: tuple[int, int]) -> None:
    neck = FPN(CHANNELS, STRIDES, 16, levels)
    wanted = [2**level for level in range(levels[0], levels[1] + 1)]
    assert neck.strides == wanted
    assert [tuple(x.shape) for x in neck(features(128, 256))] == [(2, 16, 128 // s, 256 // s) for s in wanted]
    assert neck.size_divisibility == min(2 ** levels[1], 32)


@torch.no_grad()
def test_every_parameter_of_every_level_is_used() -> None:
    with torch.enable_grad():
        neck = FPN(CHANNELS, STRIDES, 16, (2, 7), "P5", "GN")
        torch.stack([x.square().mean() for x in neck(features(128, 128))]).sum().backward()
    assert [name for name, parameter in neck.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(("norm", "kind"), [("GN", nn.GroupNorm), ("BN", nn.BatchNorm2d), ("SyncBN", nn.SyncBatchNorm)])
def test_a_norm_follows_each_convolution_and_takes_its_bias(norm: Any, kind: type) -> None:
    neck = FPN(CHANNELS, STRIDES, 16, (3, 7), norm=norm)
    convolutions = [module for module in neck.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 8
    assert all(convolution.bias is None for convolution in convolutions)
    assert sum(type(module) is kind for module in neck.modules()) == 8


def test_weights_start_as_caffe2s() -> None:
    # XavierFill: uniform in +-sqrt(3 / fan in), so its deviation is sqrt(1 / fan in)
    torch.manual_seed(0)
    neck = FPN({"C3": 64, "C4": 64, "C5": 64}, STRIDES, 64)
    weight = neck.output["P3"][0].weight
    assert weight.std().item() == pytest.approx((64 * 9) ** -0.5, rel=0.02)
    assert weight.abs().max().item() <= (3 / (64 * 9)) ** 0.5
    assert not neck.output["P3"][0].bias.any()


@pytest.mark.parametrize("levels", [(1, 5), (3, 8), (5, 4), (6, 7)])
def test_levels_that_cannot_be_given_are_refused(levels: tuple[int, int]) -> None:
    with pytest.raises(
        ValueError, match=rf"first <= last within 2\.\.7 .*'C2', 'C3', 'C4', 'C5'\], got \[{levels[0]}, {levels[1]}\]"
    ):
        FPN(CHANNELS, STRIDES, levels=levels)


def test_a_backbone_without_c2_gives_no_p2() -> None:
    without = {level: count for level, count in CHANNELS.items() if level != "C2"}
    with pytest.raises(ValueError, match=r"a first level of \['C3', 'C4', 'C5'\], got \[2, 5\]"):
        FPN(without, STRIDES, levels=(2, 5))
