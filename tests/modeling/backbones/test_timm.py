"""Backbones of timm, by its smallest models."""

from __future__ import annotations

import sys

import pytest
import torch

from dettoolkit.errors import ConfigError, MissingDependencyError
from dettoolkit.modeling.backbones import Timm

LEVELS = {"C2": 4, "C3": 8, "C4": 16, "C5": 32}


@pytest.fixture
def _timm() -> None:
    pytest.importorskip("timm")


@pytest.mark.usefixtures("_timm")
@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "test_mambaout"])  # the last gives NHWC maps
def test_maps_are_named_by_their_strides(model: str) -> None:
    backbone = Timm(model).eval()
    with torch.no_grad():
        maps = backbone(torch.randn(2, 3, 96, 64))
    assert backbone.strides == LEVELS
    assert list(maps) == list(LEVELS)
    for level, stride in LEVELS.items():
        assert maps[level].shape == (2, backbone.channels[level], 96 // stride, 64 // stride)


@pytest.mark.usefixtures("_timm")
def test_a_swin_takes_images_of_other_sizes_than_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    create = timm.create_model

    def one_block_a_stage(name: str, **options: object) -> torch.nn.Module:
        return create(name, depths=(1, 1, 1, 1), embed_dim=12, num_heads=(1, 1, 1, 1), **options)

    monkeypatch.setattr(timm, "create_model", one_block_a_stage)
    backbone = Timm("swin_tiny_patch4_window7_224").eval()
    with torch.no_grad():
        maps = backbone(torch.randn(1, 3, 64, 96))
    for level, width in {"C2": 12, "C3": 24, "C4": 48, "C5": 96}.items():  # twice as many channels at twice the stride
        assert maps[level].shape == (1, width, 64 // LEVELS[level], 96 // LEVELS[level])


@pytest.mark.usefixtures("_timm")
def test_a_model_of_one_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dettoolkit.modeling.backbones.timm._wants_one_size", lambda body: True)
    with pytest.raises(ConfigError, match=r"'test_resnet' takes images of one size only.*take another model"):
        Timm("test_resnet")


@pytest.mark.usefixtures("_timm")
def test_a_size_that_the_model_refuses_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(images: torch.Tensor) -> None:
        raise AssertionError("height must be divisible by the window")

    backbone = Timm("test_resnet")
    monkeypatch.setattr(backbone.body, "forward", refuse)
    with pytest.raises(ConfigError, match=r"takes no images of 64 x 96 pixels \(height x width\): height must be divisible"):
        backbone(torch.zeros(1, 3, 64, 96))


@pytest.mark.usefixtures("_timm")
def test_maps_are_those_of_timm() -> None:
    import timm

    backbone = Timm("test_resnet").eval()
    body = timm.create_model("test_resnet", features_only=True).eval()
    body.load_state_dict(backbone.body.state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        ours, theirs = backbone(images), body(images)
    for x, expected in zip(ours.values(), theirs[1:], strict=True):  # without the map of stride 2
        torch.testing.assert_close(x, expected)


@pytest.mark.usefixtures("_timm")
def test_images_may_have_other_than_three_channels() -> None:
    with torch.no_grad():
        assert Timm("test_efficientnet", in_channels=1)(torch.zeros(2, 1, 64, 64))["C5"].shape[0] == 2


@pytest.mark.usefixtures("_timm")
@pytest.mark.parametrize("call_train", [False, True])
def test_a_frozen_backbone_keeps_weights_and_statistics(call_train: bool) -> None:
    backbone = Timm("test_resnet", freeze=True)
    if call_train:
        backbone.eval().train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone(torch.randn(2, 3, 64, 64))
    assert backbone.has_frozen_stages
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert all(value.equal(before[name]) for name, value in backbone.state_dict().items())


@pytest.mark.usefixtures("_timm")
def test_a_backbone_that_is_not_frozen_is_trained() -> None:
    backbone = Timm("test_resnet")
    assert backbone.training
    assert not backbone.has_frozen_stages
    assert all(parameter.requires_grad for parameter in backbone.parameters())


@pytest.mark.usefixtures("_timm")
def test_an_unknown_model_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"has no model 'mobilnetv3_large_100'\. Did you mean 'mobilenetv3_large_100'\?"):
        Timm("mobilnetv3_large_100")


@pytest.mark.usefixtures("_timm")
def test_a_model_without_a_pyramid_says_what_it_has() -> None:
    with pytest.raises(ConfigError, match=r"'test_vit' has maps of strides \[16, 16, 16\]; a detector needs 8, 16 and 32"):
        Timm("test_vit")


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # import answers as for a library that is not there
    with pytest.raises(MissingDependencyError, match=r"pip install 'dettoolkit\[timm\]'"):
        Timm("test_resnet")
