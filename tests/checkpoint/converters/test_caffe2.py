"""Backbones with the names of caffe2, as its documents and Detectron2's log have them."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from dettoolkit.checkpoint import load_backbone
from dettoolkit.checkpoint.converters import caffe2
from dettoolkit.modeling.backbones import ResNet

SPELLINGS = {
    "s": {"weight": "bn_s", "bias": "bn_b", "running_mean": "bn_rm", "running_var": "bn_riv"},
    "gamma": {"weight": "bn_gamma", "bias": "bn_beta", "running_mean": "bn_running_mean", "running_var": "bn_running_var"},
}


def blobs(model: nn.Module, spelling: dict[str, str], statistics: bool) -> dict[str, Tensor]:
    """Write a ResNet's tensors as caffe2 calls them: an implementation of its own, by the words of the names."""
    written = {}
    for name, value in model.state_dict().items():
        module, _, parameter = name.rpartition(".")
        if parameter == "num_batches_tracked" or (not statistics and parameter.startswith("running")):
            continue
        place = re.sub(r"layer(\d)\.(\d+)\.", lambda found: f"res{int(found[1]) + 1}_{found[2]}_", module)
        place = place.replace("downsample.0", "branch1").replace("downsample.1", "branch1_norm")
        for number, letter in enumerate("abc", start=1):
            place = re.sub(rf"_conv{number}$", f"_branch2{letter}", place)
            place = re.sub(rf"_bn{number}$", f"_branch2{letter}_norm", place)
        place = "res_conv1_norm" if place == "bn1" else place
        written[place.replace("norm", spelling[parameter]) if "norm" in place else f"{place}_w"] = value
    return written


@pytest.fixture
def resnet() -> ResNet:
    torch.manual_seed(0)
    model = ResNet(depth=50, norm="FrozenBN").eval()
    for name, value in model.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            value.normal_(std=0.1)
        elif ".bn" in name or "downsample.1" in name:
            value.uniform_(0.8, 1.2)
    return model


def test_the_names_are_those_of_r_50(resnet: ResNet) -> None:
    names = blobs(resnet, SPELLINGS["gamma"], statistics=True).keys()
    # from Detectron2's log of ImageNetPretrained/MSRA/R-50.pkl
    assert {"conv1_w", "res2_0_branch1_w", "res2_0_branch2a_bn_beta", "res5_2_branch2c_bn_running_var"} <= names
    assert "res_conv1_bn_gamma" in names


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_statistics_are_read_whatever_they_are_called(resnet: ResNet, spelling: str) -> None:
    done = caffe2.to_dettoolkit(blobs(resnet, SPELLINGS[spelling], statistics=True))
    assert (done.unknown, done.left_over, done.filled) == ([], {}, {})
    expected = {f"backbone.{name}": value for name, value in resnet.state_dict().items()}
    assert done.state.keys() == expected.keys()
    assert all(done.state[name] is value or torch.equal(done.state[name], value) for name, value in expected.items())


@torch.no_grad()
def test_folded_norms_scale_and_shift_and_nothing_else(resnet: ResNet) -> None:
    weights = blobs(resnet, SPELLINGS["s"], statistics=False)
    loaded = ResNet(depth=50, norm="FrozenBN")
    load_backbone(loaded, weights)
    x = torch.rand(1, 64, 5, 5)
    scale, shift = weights["res2_0_branch2a_bn_s"], weights["res2_0_branch2a_bn_b"]
    expected = x * scale[:, None, None] + shift[:, None, None]
    torch.testing.assert_close(loaded.layer1[0].bn1(x), expected, rtol=1e-6, atol=1e-6)


def test_what_is_left_over_is_told_with_the_reason(resnet: ResNet) -> None:
    beside = ["fc1000_w", "fc1000_b", "conv1_b", "res2_0_branch2a_w_momentum", "pred_w"]
    state = blobs(resnet, SPELLINGS["s"], statistics=False) | {name: torch.ones(1) for name in beside}
    done = caffe2.to_dettoolkit(state | {"fpn_res2_2_sum_w": torch.ones(1)})
    assert done.left_over.keys() == set(beside)
    assert done.left_over["fc1000_w"] == "the classifier of ImageNet's classes"
    assert done.unknown == ["fpn_res2_2_sum_w"]


def test_folded_norms_stay_folded_and_others_keep_their_statistics(resnet: ResNet) -> None:
    folded = blobs(resnet, SPELLINGS["s"], statistics=False)
    assert caffe2.from_dettoolkit(caffe2.to_dettoolkit(folded).state).state.keys() == folded.keys()
    with_statistics = blobs(resnet, SPELLINGS["gamma"], statistics=True)
    assert caffe2.from_dettoolkit(caffe2.to_dettoolkit(with_statistics).state).state.keys() == with_statistics.keys()


def test_group_norms_have_names_of_their_own() -> None:
    state = {"conv1_w": torch.ones(1), "conv1_gn_s": torch.ones(1), "res2_0_branch2a_w": torch.ones(1)}
    state["res2_0_branch2a_gn_b"] = torch.ones(1)
    done = caffe2.to_dettoolkit(state)
    assert set(done.state) == {
        f"backbone.{name}" for name in ("conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.bias")
    }
    assert done.filled == {}
