"""torchvision's own models and ours with their weights say the same, and the weights come back as they went."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.ops import FeaturePyramidNetwork

from dettoolkit.checkpoint.converters import torchvision as converter
from dettoolkit.config import load_config
from dettoolkit.errors import CheckpointError
from dettoolkit.modeling import build_model

CLASSES = 7
FIRST = ["MODEL.NECK.EXTRA_LEVELS_FROM", "P5", "MODEL.HEAD.NORM", "none", "MODEL.BACKBONE.NORM", "BN"]
SECOND = ["MODEL.NECK.EXTRA_LEVELS_FROM", "C5", "MODEL.HEAD.NORM", "GN", "MODEL.BACKBONE.NORM", "BN"]


def theirs(build: Callable[..., nn.Module]) -> nn.Module:
    """Return a model with weights in every part, so that all of them show in what it says."""
    torch.manual_seed(0)
    model = build(weights=None, weights_backbone=None, num_classes=CLASSES).eval()
    for name, value in model.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(std=0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.9, 1.1)
        elif name.startswith("head.") and value.dim() == 4:
            nn.init.kaiming_normal_(value)
    return model


def ours(overrides: list[str], state: dict[str, Tensor]) -> nn.Module:
    base = ["MODEL.NUM_CLASSES", str(CLASSES), "MODEL.BACKBONE.DEPTH", "50", "MODEL.BACKBONE.WEIGHTS", ""]
    model = build_model(load_config("retinanet/retinanet_r50_fpn_1x.yaml", [*base, *overrides])).eval()
    problems = model.load_state_dict(state, strict=False)
    assert problems.unexpected_keys == []
    assert {name for name in problems.missing_keys if not name.startswith("criterion.")} == set()
    return model


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("build", "overrides"),
    [(detection.retinanet_resnet50_fpn, FIRST), (detection.retinanet_resnet50_fpn_v2, SECOND)],
    ids=["v1", "v2"],
)
def test_the_same_weights_give_the_same_logits_and_deltas(build: Callable[..., nn.Module], overrides: list[str]) -> None:
    model = theirs(build)
    state = dict(model.state_dict())
    done = converter.to_dettoolkit(state)
    assert (done.unknown, done.left_over, done.problems) == ([], {}, [])
    images = torch.rand(1, 3, 128, 160)
    with torch.no_grad():
        expected = model.head(list(model.backbone(images).values()))
        network = ours(overrides, done.state)
        found = network.head(network.neck(network.backbone(images)))
    # torchvision's anchors at a location: all sizes of the first ratio, ...; ours: all ratios of the first size, ...
    order = torch.tensor([ratio * 3 + size for size in range(3) for ratio in range(3)])
    for key, levels in (("cls_logits", found.logits), ("bbox_regression", found.deltas)):
        wanted = expected[key].unflatten(1, (-1, 9))[:, :, order].flatten(1, 2)
        assert wanted.std() > 0.05  # something that a wrong order would show in
        torch.testing.assert_close(torch.cat(levels, 1), wanted, rtol=1e-4, atol=1e-4)
    assert same(converter.from_dettoolkit(done.state).state, state)


def test_the_order_of_torchvisions_anchors_is_as_taken_here() -> None:
    generator = detection.anchor_utils.AnchorGenerator(((32, 64, 128),), ((0.25, 1.0, 4.0),))
    boxes = generator.generate_anchors([32, 64, 128], [0.25, 1.0, 4.0])
    sides = boxes[:, 2:] - boxes[:, :2]
    assert (sides.prod(1).sqrt() / 32).int().tolist() == [1, 2, 4] * 3  # the sizes run first
    assert (sides[:, 1] / sides[:, 0] * 4).int().tolist() == [1, 1, 1, 4, 4, 4, 16, 16, 16]


def test_names_from_before_0_14_are_known() -> None:
    # those of its published weights: no inner .0, and towers that count the ReLUs
    model = theirs(detection.retinanet_resnet50_fpn)
    state = dict(model.state_dict())
    old = {}
    for name, value in state.items():
        name = re.sub(r"(inner|layer)_blocks\.(\d)\.0\.", r"\1_blocks.\2.", name)
        old[re.sub(r"\.conv\.(\d)\.0\.", lambda found: f".conv.{2 * int(found[1])}.", name)] = value
    assert {"head.regression_head.conv.6.weight", "backbone.fpn.layer_blocks.2.bias"} <= old.keys()
    assert same(converter.to_dettoolkit(old).state, converter.to_dettoolkit(state).state)
    for value in model.state_dict().values():
        value.zero_()
    model.load_state_dict(old)  # torchvision reads the old names too
    assert same(dict(model.state_dict()), state)


def test_four_merged_levels_begin_with_p2() -> None:
    pyramid = FeaturePyramidNetwork([4, 8, 16, 32], 4).state_dict()
    done = converter.to_dettoolkit({f"backbone.fpn.{name}": value for name, value in pyramid.items()})
    assert done.unknown == []
    assert done.state["neck.lateral.P2.0.weight"].shape[1] == 4
    assert done.state["neck.lateral.P5.0.weight"].shape[1] == 32


def test_a_resnet_loses_its_classifier_and_nothing_else() -> None:
    state = dict(torchvision.models.resnet18(weights=None).state_dict())
    done = converter.to_dettoolkit(state)
    assert done.left_over == dict.fromkeys(["fc.weight", "fc.bias"], "the classifier of ImageNet's classes")
    assert done.unknown == []
    back = converter.from_dettoolkit(done.state)
    assert same(back.state, {name: value for name, value in state.items() if not name.startswith("fc.")})


def head(anchors: int, **more: Tensor) -> dict[str, Tensor]:
    values = {"head.regression_head.bbox_reg.bias": torch.arange(anchors * 4.0)}
    values["head.regression_head.bbox_reg.weight"] = torch.zeros(anchors * 4, 1, 3, 3)
    return {"head.classification_head.cls_logits.bias": torch.arange(float(anchors)), **values, **more}


def test_channels_are_reordered_by_anchors_worked_by_hand() -> None:
    # two sizes a, b and three ratios 1, 2, 3. torchvision: 1a 1b 2a 2b 3a 3b; ours: 1a 2a 3a 1b 2b 3b
    state = converter.to_dettoolkit(head(6), anchors=(2, 3)).state
    assert state["head.classification.bias"].tolist() == [0, 2, 4, 1, 3, 5]
    assert state["head.box.bias"].tolist()[:8] == [0, 1, 2, 3, 8, 9, 10, 11]
    assert same(converter.from_dettoolkit(state, anchors=(2, 3)).state, head(6))


@pytest.mark.parametrize("anchors", [1, 2, 3, 5])
def test_a_prime_number_of_anchors_has_one_order(anchors: int) -> None:
    assert converter.to_dettoolkit(head(anchors)).state["head.box.bias"].tolist() == list(range(anchors * 4))


def test_an_unknown_number_of_sizes_is_not_guessed() -> None:
    with pytest.raises(CheckpointError, match=r"the box layer has 6 anchors at a location.*--anchors SIZES RATIOS"):
        converter.to_dettoolkit(head(6))
    with pytest.raises(CheckpointError, match=r"2 sizes and 2 aspect ratios are 4 anchors at a location, the box layer has 6"):
        converter.to_dettoolkit(head(6), anchors=(2, 2))


def test_what_torchvision_cannot_be_built_with_is_told() -> None:
    overrides = ["MODEL.NUM_CLASSES", "2", "MODEL.HEAD.NUM_CONVS", "1", "MODEL.NECK.LEVELS", "[3, 6]", "MODEL.NECK.NORM", "GN"]
    model = build_model(load_config("tiny.yaml", [*overrides, "MODEL.NECK.OUT_CHANNELS", "32", "MODEL.HEAD.NORM", "BN"]))
    with torch.no_grad():
        model.head.box_tower.norms[0].levels[2].weight[5] = 3.0
    done = converter.from_dettoolkit(model.state_dict())
    assert done.unknown == ["neck.extra.P6.1.weight", "neck.extra.P6.1.bias", "head.box_tower.norms.0.levels.2.weight"]
    assert [problem.partition(":")[0] for problem in done.problems] == [
        "neck.lateral.P3.1.weight",
        "neck.extra",
        "head.classification_tower",
    ]
