"""ResNet and ResNeXt against torchvision's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models._utils import IntermediateLayerGetter

from dettoolkit.errors import ConfigError
from dettoolkit.modeling.backbones import ResNet
from dettoolkit.modeling.layers import FrozenBatchNorm2d
from dettoolkit.registry import BACKBONES

VARIANTS: list[tuple[dict[str, Any], str]] = [
    ({"depth": 18}, "resnet18"),
    ({"depth": 34}, "resnet34"),
    ({"depth": 50}, "resnet50"),
    ({"depth": 101}, "resnet101"),
    ({"depth": 152}, "resnet152"),
    ({"depth": 50, "groups": 32, "width_per_group": 4}, "resnext50_32x4d"),
    ({"depth": 101, "groups": 32, "width_per_group": 8}, "resnext101_32x8d"),
    ({"depth": 101, "groups": 64, "width_per_group": 4}, "resnext101_64x4d"),
]
STAGES = ["conv1", "layer1", "layer2", "layer3", "layer4"]


def stage_of(name: str) -> int:
    """Return the number of the stage that a parameter belongs to; the stem is 0."""
    top = name.partition(".")[0]
    return STAGES.index("conv1" if top == "bn1" else top)


def without_classifier(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def shake_norms(model: nn.Module) -> None:
    """Give batch norms statistics that matter."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)


@pytest.mark.parametrize(("parameters", "name"), VARIANTS)
def test_names_and_shapes_of_weights_are_torchvisions(parameters: dict[str, Any], name: str) -> None:
    with torch.device("meta"):
        ours, theirs = ResNet(**parameters, norm="BN"), getattr(models, name)()
    expected = {key: value.shape for key, value in without_classifier(theirs.state_dict()).items()}
    assert {key: value.shape for key, value in ours.state_dict().items()} == expected


@pytest.mark.parametrize(("parameters", "name"), VARIANTS)
def test_maps_have_the_channels_and_strides_that_are_published(parameters: dict[str, Any], name: str) -> None:
    with torch.device("meta"):
        backbone = ResNet(**parameters)
        maps = backbone(torch.zeros(1, 3, 128, 64))
    first = 64 if parameters["depth"] < 50 else 256
    assert backbone.channels == {f"C{level}": first * 2 ** (level - 2) for level in range(2, 6)}
    assert backbone.strides == {"C2": 4, "C3": 8, "C4": 16, "C5": 32}
    for level, x in maps.items():
        stride = backbone.strides[level]
        assert x.shape == (1, backbone.channels[level], 128 // stride, 64 // stride)


@pytest.mark.parametrize("norm", ["FrozenBN", "BN", "SyncBN"])
@pytest.mark.parametrize(("parameters", "name"), [VARIANTS[0], VARIANTS[2], VARIANTS[5]])
def test_maps_are_those_of_torchvision_with_its_weights(parameters: dict[str, Any], name: str, norm: Any) -> None:
    theirs = getattr(models, name)().eval()
    shake_norms(theirs)
    ours = ResNet(**parameters, norm=norm).eval()
    ours.load_state_dict(without_classifier(theirs.state_dict()))
    images = torch.randn(2, 3, 65, 72)
    with torch.no_grad():
        maps = ours(images)
        expected = IntermediateLayerGetter(theirs, {f"layer{i}": f"C{i + 1}" for i in range(1, 5)})(images)
    assert list(maps) == ["C2", "C3", "C4", "C5"]
    for level, x in maps.items():
        torch.testing.assert_close(x, expected[level], rtol=1e-4, atol=1e-4)


def test_stride_in_1x1_moves_the_stride_and_nothing_else() -> None:
    with torch.device("meta"):
        in_3x3, in_1x1 = ResNet(50), ResNet(50, stride_in_1x1=True)
        shapes = [[x.shape for x in backbone(torch.zeros(1, 3, 70, 90)).values()] for backbone in (in_3x3, in_1x1)]
    assert shapes[0] == shapes[1]
    strides = {}
    for name, module in in_1x1.named_modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            strides[name] = module.kernel_size
    blocks = [f"layer{i}.0" for i in (2, 3, 4)]
    expected = {"conv1": (7, 7)} | {f"{block}.{part}": (1, 1) for block in blocks for part in ("conv1", "downsample.0")}
    assert strides == expected


@pytest.mark.parametrize(
    ("norm", "kind"),
    [("FrozenBN", FrozenBatchNorm2d), ("BN", nn.BatchNorm2d), ("SyncBN", nn.SyncBatchNorm), ("GN", nn.GroupNorm)],
)
def test_norm_is_the_same_everywhere(norm: Any, kind: type) -> None:
    with torch.device("meta"):
        backbone = ResNet(18, norm=norm)
    norms = [m for m in backbone.modules() if isinstance(m, (FrozenBatchNorm2d, nn.modules.batchnorm._BatchNorm, nn.GroupNorm))]
    assert len(norms) == 20  # one a convolution: the stem, 16 in blocks, 3 in shortcuts
    assert {type(module) for module in norms} == {kind}
    assert {module.num_groups for module in norms if isinstance(module, nn.GroupNorm)} <= {32}


def test_frozen_norms_have_no_parameters() -> None:
    with torch.device("meta"):
        names = [name for name, _ in ResNet(50).named_parameters()]
    assert names
    assert not [name for name in names if "bn" in name or "downsample.1" in name]


@pytest.mark.parametrize("count", range(6))
def test_freeze_stages_counts_from_the_stem(count: int) -> None:
    with torch.device("meta"):
        backbone = ResNet(18, norm="BN", freeze_stages=count)  # type: ignore[arg-type]
    trained = {stage_of(name) for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    frozen = {stage_of(name) for name, parameter in backbone.named_parameters() if not parameter.requires_grad}
    assert frozen == set(range(count))
    assert trained == set(range(count, 5))
    assert backbone.has_frozen_stages == (count > 0)


@pytest.mark.parametrize("prepare", [lambda model: model, lambda model: model.eval().train()], ids=["fresh", "train()"])
def test_norms_of_frozen_stages_keep_their_statistics(prepare: Any) -> None:
    backbone = prepare(ResNet(18, norm="BN", freeze_stages=2))
    before = {name: value.clone() for name, value in backbone.state_dict().items() if "running" in name}
    backbone(torch.randn(2, 3, 64, 64))
    after = backbone.state_dict()
    moved = {stage_of(name) for name, value in before.items() if not value.equal(after[name])}
    assert moved == {2, 3, 4}


@pytest.mark.parametrize("channels", [1, 4])
def test_images_may_have_other_than_three_channels(channels: int) -> None:
    with torch.device("meta"):
        backbone = ResNet(18, in_channels=channels)
        maps = backbone(torch.zeros(1, channels, 64, 64))
    assert backbone.conv1.weight.shape == (64, channels, 7, 7)
    assert backbone.in_channels == channels
    assert maps["C5"].shape == (1, 512, 2, 2)


def test_the_first_convolution_of_other_channels_starts_as_the_others_do() -> None:
    torch.manual_seed(0)  # He et al., 2015, fan out: variance 2 / (64 * 7 * 7)
    weight = ResNet(18, in_channels=5).conv1.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("norm", ["BN", "SyncBN", "GN"])
@pytest.mark.parametrize(("depth", "last"), [(18, "bn2"), (50, "bn3")])
def test_zero_init_makes_each_block_start_without_its_residual(norm: Any, depth: Any, last: str) -> None:
    backbone = ResNet(depth, norm=norm, zero_init_residual=True)
    zeros = [name for name, value in backbone.named_parameters() if name.startswith("layer") and name.endswith(".weight")]
    zeros = [name for name in zeros if (backbone.get_parameter(name) == 0).all()]
    blocks = [name for name, module in backbone.named_modules() if name.count(".") == 1 and name.startswith("layer")]
    assert zeros == [f"{block}.{last}.weight" for block in blocks]


def test_zero_init_with_norms_that_are_never_trained_is_refused() -> None:
    with pytest.raises(ValueError, match="zero_init_residual needs a norm that is trained"):
        ResNet(18, norm="FrozenBN", zero_init_residual=True)


@pytest.mark.parametrize("parameters", [{"groups": 32}, {"width_per_group": 4}, {"stride_in_1x1": True}])
def test_depths_without_bottlenecks_take_no_bottleneck_parameters(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="depth 34 has no bottlenecks"):
        ResNet(34, **parameters)


def test_a_config_names_an_unknown_depth_and_what_is_accepted() -> None:
    with pytest.raises(ConfigError, match=r"MODEL\.BACKBONE\.DEPTH: expected 18 or 34 or 50 or 101 or 152, got 51"):
        BACKBONES.build({"NAME": "ResNet", "DEPTH": 51}, "MODEL.BACKBONE")


def test_channels_last_stays_channels_last() -> None:
    backbone = ResNet(18).to(memory_format=torch.channels_last)
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, 64, 64).to(memory_format=torch.channels_last))
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in maps.values())


def test_autocast_keeps_bfloat16_from_end_to_end() -> None:
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        maps = ResNet(18)(torch.randn(1, 3, 64, 64))
    assert {x.dtype for x in maps.values()} == {torch.bfloat16}
