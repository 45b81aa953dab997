from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torchvision
from fvcore.common.config import CfgNode
from torch import nn

from dettoolkit.checkpoint import load_backbone, load_pretrained, load_weights, write
from dettoolkit.errors import CheckpointError


class Head(nn.Module):
    def __init__(self, num_classes: int, num_anchors: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.classification = nn.Conv2d(4, num_anchors * num_classes, 3)
        self.box = nn.Conv2d(4, num_anchors * 4, 3)


class Detector(nn.Module):
    """As small as a detector can be, with the names of a real one."""

    def __init__(self, num_classes: int = 3, backbone: nn.Module | None = None, num_anchors: int = 9) -> None:
        super().__init__()
        self.backbone = backbone or nn.Conv2d(3, 4, 3)
        self.neck = nn.Conv2d(4, 4, 1)
        self.head = Head(num_classes, num_anchors)


class ResNetBody(torchvision.models.ResNet):
    """torchvision's smallest ResNet without its last layer."""

    def __init__(self, in_channels: int = 3) -> None:
        super().__init__(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1])
        del self.fc
        if in_channels != 3:
            self.conv1 = nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)


@pytest.fixture(scope="module")
def classification_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=10)
    for name, value in model.named_buffers():
        if name.endswith("running_mean"):
            value.normal_()
    path = tmp_path_factory.mktemp("weights") / "resnet10.pth"
    torch.save(model.state_dict(), path)
    return path


def _same(a: nn.Module, b: nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"model": state, "trainer": {"iteration": 7}},
        lambda state: state,
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"model": {f"module._orig_mod.{name}": value for name, value in state.items()}},
    ],
)
def test_checkpoints_and_state_dicts_are_recognised(tmp_path: Path, wrap) -> None:
    trained, model = Detector(), Detector()
    write(tmp_path / "a.pth", wrap(trained.state_dict()))
    report = load_weights(model, tmp_path / "a.pth")
    assert _same(trained, model)
    assert report.complete
    assert set(report.loaded) == set(model.state_dict())


def test_weights_in_memory_are_taken_too() -> None:
    trained, model = Detector(), Detector()
    load_weights(model, trained.state_dict())
    assert _same(trained, model)


def test_classification_weights_go_into_the_backbone(classification_weights: Path) -> None:
    model = Detector(backbone=ResNetBody())
    neck = model.neck.weight.clone()
    report = load_weights(model, classification_weights)
    expected = torch.load(classification_weights, weights_only=True)
    for name, value in model.backbone.state_dict().items():
        torch.testing.assert_close(value, expected[name], msg=name)
    assert report.kind == "torchvision ResNet"
    assert torch.equal(model.neck.weight, neck)


@pytest.mark.parametrize("channels", [1, 4])
def test_the_first_convolution_is_adapted_and_gray_gives_what_it_gave(classification_weights: Path, channels: int) -> None:
    adapted, original = ResNetBody(channels), ResNetBody()
    load_backbone(adapted, classification_weights)
    load_backbone(original, classification_weights)
    gray = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(
        adapted.conv1(gray.expand(-1, channels, -1, -1)), original.conv1(gray.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5
    )


def test_a_backbone_is_taken_out_of_a_detector(tmp_path: Path) -> None:
    trained, backbone = Detector(num_classes=80, backbone=ResNetBody()), ResNetBody()
    write(tmp_path / "a.pth", {"model": trained.state_dict()})
    load_backbone(backbone, tmp_path / "a.pth")
    assert _same(trained.backbone, backbone)


def test_weights_of_other_norms_do_not_fit(classification_weights: Path) -> None:
    class GroupNormBody(ResNetBody):
        def __init__(self) -> None:
            super().__init__()
            self.bn1 = nn.GroupNorm(32, 64)

    with pytest.raises(CheckpointError, match=r"2 unknown to the model: bn1.running_mean, bn1.running_var"):
        load_backbone(GroupNormBody(), classification_weights)


def test_other_classes_in_training_keep_all_but_the_classification_layer(caplog: pytest.LogCaptureFixture) -> None:
    trained, model = Detector(80), Detector(3)
    fresh = model.head.classification.weight.clone()
    with caplog.at_level(logging.INFO):
        report = load_weights(model, {"model": trained.state_dict()}, other_classes="reinitialise")
    assert [line for line in caplog.messages if "classification" in line] == [
        "classification layer re-initialised (80 -> 3 classes)"
    ]
    assert report.reinitialised == ("head.classification.weight", "head.classification.bias")
    assert torch.equal(model.head.classification.weight, fresh)
    assert torch.equal(model.head.box.weight, trained.head.box.weight)
    assert torch.equal(model.backbone.weight, trained.backbone.weight)


def test_other_classes_at_inference_are_an_error() -> None:
    with pytest.raises(
        CheckpointError, match=r"the classification layer is of other classes than the model \(80 -> 3 classes\)"
    ):
        load_weights(Detector(3), Detector(80).state_dict())


def test_other_anchors_are_not_taken_for_other_classes() -> None:
    model = Detector(3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(
        CheckpointError, match=r"4 of another shape: .*head.box.weight \(file \[4, 4, 3, 3\], model \[36, 4, 3, 3\]\)"
    ):
        load_weights(model, Detector(3, num_anchors=1).state_dict(), other_classes="reinitialise")
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())  # nothing was loaded


def test_what_does_not_fit_is_listed_with_the_nearest_names() -> None:
    state = dict(Detector().state_dict())
    state["nek.weight"] = state.pop("neck.weight")
    state["neck.bias"] = torch.ones(5)
    with pytest.raises(CheckpointError) as caught:
        load_weights(Detector(), state)
    assert str(caught.value).splitlines() == [
        "the given weights (state dict) does not fit the model:",
        "1 missing in the file: neck.weight",
        "1 unknown to the model: nek.weight Did you mean 'neck.weight'?",
        "1 of another shape: neck.bias (file [5], model [4])",
    ]


def test_not_strict_loads_what_fits_and_says_what_does_not(caplog: pytest.LogCaptureFixture) -> None:
    trained, model = Detector(), Detector()
    state = {name: value for name, value in trained.state_dict().items() if not name.startswith("neck")}
    report = load_weights(model, state, strict=False)
    assert report.missing == ("neck.weight", "neck.bias")
    assert torch.equal(model.backbone.weight, trained.backbone.weight)
    assert "2 missing in the file: neck.weight, neck.bias" in caplog.text


def test_the_state_of_the_criterion_is_not_needed() -> None:
    model = Detector()
    assert load_weights(model, {**Detector().state_dict(), "criterion.normalizer.average": torch.tensor(1.0)}).complete


@pytest.mark.parametrize("data", [{}, {"iteration": 3}, {"model": {}}, {"model": {"a": "text"}}])
def test_a_file_without_weights_is_refused(data: dict) -> None:
    with pytest.raises(CheckpointError, match="has no weights: expected names and tensors"):
        load_weights(Detector(), data)


def _cfg(weights: str = "", backbone: str | None = "") -> CfgNode:
    return CfgNode({"MODEL": {"WEIGHTS": weights, "BACKBONE": {"NAME": "ResNet", "WEIGHTS": backbone}}})


@pytest.mark.parametrize("none", ["", None])
def test_without_weights_training_starts_from_random_ones(none: str | None) -> None:
    assert load_pretrained(Detector(), _cfg(backbone=none)) == []


def test_training_starts_from_the_weights_of_the_config(classification_weights: Path, tmp_path: Path) -> None:
    model = Detector(3, ResNetBody())
    (report,) = load_pretrained(model, _cfg(backbone=str(classification_weights)))
    assert (report.kind, report.complete) == ("torchvision ResNet", True)
    write(tmp_path / "a.pth", {"model": Detector(80, ResNetBody()).state_dict()})
    (report,) = load_pretrained(model, _cfg(str(tmp_path / "a.pth"), str(classification_weights)))
    assert (report.kind, len(report.reinitialised)) == ("checkpoint", 2)


def test_timm_gives_the_weights_of_its_own_models(monkeypatch: pytest.MonkeyPatch) -> None:
    class Timm(nn.Module):
        model_name, in_channels = "tiny", 1

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(1, 2, 1)

    asked = []
    pretrained = nn.Conv2d(1, 2, 1)
    fake = SimpleNamespace(create_model=lambda name, **options: asked.append((name, options)) or pretrained)
    monkeypatch.setitem(sys.modules, "timm", fake)
    backbone = Timm()
    load_backbone(backbone, "timm://")
    assert _same(backbone.body, pretrained)
    assert asked == [("tiny", {"features_only": True, "pretrained": True, "in_chans": 1})]
    with pytest.raises(CheckpointError, match="may need the network for 'tiny'"):
        load_backbone(backbone, "timm://", offline=True)
    with pytest.raises(CheckpointError, match="timm:// is for the backbone Timm, this one is Conv2d"):
        load_backbone(nn.Conv2d(1, 1, 1), "timm://")
