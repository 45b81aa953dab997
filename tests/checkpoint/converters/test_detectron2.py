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


def test_what_stands_beside_the_network_is_left_over_with_the_reason() -> None:
    beside = ["pixel_mean", "pixel_std", "anchor_generator.cell_anchors.4"]
    done = detectron2.to_dettoolkit(dict.fromkeys([*beside, "proposal_generator.rpn_head.conv.weight"], torch.ones(1)))
    assert done.left_over == {
        "pixel_mean": "belongs into MODEL.INPUT.PIXEL_MEAN",
        "pixel_std": "belongs into MODEL.INPUT.PIXEL_STD",
        "anchor_generator.cell_anchors.4": "computed from MODEL.ANCHORS",
    }
    assert done.unknown == ["proposal_generator.rpn_head.conv.weight"]


def test_a_resnet_of_torchvisions_under_detectron2s_names() -> None:
    # as its tools/convert-torchvision-to-d2.py writes r50.pkl
    renamed = {
        "stem.conv1.weight": "backbone.conv1.weight",
        "stem.conv1.norm.running_var": "backbone.bn1.running_var",
        "res2.0.conv1.weight": "backbone.layer1.0.conv1.weight",
        "res5.2.conv3.norm.num_batches_tracked": "backbone.layer4.2.bn3.num_batches_tracked",
        "res3.0.shortcut.weight": "backbone.layer2.0.downsample.0.weight",
        "res3.0.shortcut.norm.bias": "backbone.layer2.0.downsample.1.bias",
    }
    done = detectron2.to_dettoolkit(dict.fromkeys([*renamed, "stem.fc.weight", "stem.fc.bias"], torch.ones(1)))
    assert done.renamed == renamed
    assert done.left_over == dict.fromkeys(["stem.fc.weight", "stem.fc.bias"], "the classifier of ImageNet's classes")


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["backbone.bottom_up.res2.0.conv1.weight"], "Detectron2 detector"),
        (["stem.conv1.weight", "res2.0.conv1.weight"], "Detectron2 ResNet"),
        (["backbone.conv1.weight", "neck.lateral.P3.0.weight", "head.box.weight"], None),
    ],
)
def test_it_is_recognised_by_its_names(names: list[str], kind: str | None) -> None:
    assert detectron2.kind(names) == kind


def test_a_tower_with_norms_counts_three_modules_a_convolution_and_one_without_two() -> None:
    with_norm = ["0.weight", "1.weight", "3.bias", "4.bias", "9.weight", "10.bias"]
    done = detectron2.to_dettoolkit({f"head.cls_subnet.{name}": torch.ones(64) for name in with_norm})
    tower = "head.classification_tower"
    assert list(done.state) == [
        *(
            f"{tower}.convs.0.weight",
            f"{tower}.norms.0.levels.0.weight",
            f"{tower}.convs.1.bias",
            f"{tower}.norms.1.levels.0.bias",
        ),
        *(f"{tower}.convs.3.weight", f"{tower}.norms.3.levels.0.bias"),
    ]
    plain = detectron2.to_dettoolkit({f"head.bbox_subnet.{index}.weight": torch.ones(1) for index in (0, 2, 4, 6)})
    assert list(plain.state) == [f"head.box_tower.convs.{index}.weight" for index in range(4)]


def test_statistics_that_all_levels_share_are_spread() -> None:
    # Detectron2 before it kept statistics by level
    state = {f"head.cls_subnet.1.{name}": torch.full((64,), 0.5) for name in ("weight", "bias", "running_mean", "running_var")}
    state |= {f"backbone.fpn_output{level}.weight": torch.ones(1) for level in (3, 4, 5)}
    state |= {f"backbone.top_block.p{level}.weight": torch.ones(1) for level in (6, 7)}
    done = detectron2.to_dettoolkit(state)
    norm = "head.classification_tower.norms.0.levels"
    assert done.filled == dict.fromkeys(
        [f"{norm}.{level}.{name}" for level in (1, 2, 3, 4) for name in ("weight", "bias", "running_mean", "running_var")],
        "the levels share it in the file",
    )
    assert done.state[f"{norm}.4.running_var"].tolist() == [0.5] * 64
