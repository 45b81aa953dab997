from __future__ import annotations

import pytest

from dettoolkit.checkpoint.convert import convert
from dettoolkit.checkpoint.converters.completeness import missing_names

MODELS = {
    "18": [],
    "50, FrozenBN": ["BACKBONE.DEPTH", 50, "BACKBONE.NORM", "FrozenBN"],
    "101": ["BACKBONE.DEPTH", 101],
    "norms": ["HEAD.NORM", "BN", "NECK.NORM", "GN", "BACKBONE.NORM", "GN"],
    "from P2 to P5": ["NECK.LEVELS", "[2, 5]"],
    "no towers": ["HEAD.NUM_CONVS", 0],
}


@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_missing_in_a_whole_model(make_state, model: str) -> None:
    assert missing_names(make_state(*MODELS[model]).keys(), other_toolkit=False) == []


@pytest.mark.parametrize("model", ["18", "50, FrozenBN", "norms"])
def test_any_tensor_is_missed(make_state, model: str) -> None:
    names = make_state(*MODELS[model]).keys()
    needed = [name for name in names if not name.endswith("num_batches_tracked")]
    for name in needed[::5]:
        assert name in missing_names([other for other in names if other != name], other_toolkit=True), name


@pytest.mark.parametrize("part", ["backbone.layer4.1.", "backbone.layer3.", "neck.lateral.P4.", "neck.extra.P6.", "head.box"])
def test_a_part_is_missed(make_state, part: str) -> None:
    names = make_state().keys()
    expected = {name for name in names if name.startswith(part) and not name.endswith("num_batches_tracked")}
    assert set(missing_names([name for name in names if name not in expected], other_toolkit=True)) == expected


def test_another_toolkits_retinanet_has_p6_and_p7(make_state) -> None:
    names = [name for name in make_state() if not name.startswith("neck.extra.")]
    assert missing_names(names, other_toolkit=False) == []
    assert missing_names(names, other_toolkit=True) == [
        f"neck.extra.{level}.0.{parameter}" for level in ("P6", "P7") for parameter in ("weight", "bias")
    ]


def test_a_file_of_half_a_model_is_not_whole(make_state) -> None:
    theirs = convert(make_state(), "it", "detectron2").state
    backbone = {name: value for name, value in theirs.items() if name.startswith("backbone.bottom_up.")}
    assert convert(backbone, "it", "dettoolkit").missing == []  # a backbone alone is one
    neck = {name: value for name, value in theirs.items() if not name.startswith("head.")}
    done = convert(neck, "it", "dettoolkit")
    assert not done.is_whole
    assert done.missing == [
        f"head.{layer}.{parameter}" for layer in ("classification", "box") for parameter in ("weight", "bias")
    ]


def test_other_backbones_of_ours_are_not_checked() -> None:
    assert missing_names(["backbone.body.stem.weight"], other_toolkit=False) == []
