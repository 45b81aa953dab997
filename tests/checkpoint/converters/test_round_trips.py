"""Into another toolkit's names, from there into a third one's, and back: not a bit is another one."""

from __future__ import annotations

import itertools

import pytest
import torch

from dettoolkit.checkpoint.convert import FORMAT_NAMES, convert
from dettoolkit.checkpoint.converters import FORMATS

DETECTORS = [name for name in FORMAT_NAMES if name != "caffe2"]
MODELS = {
    "plain": [],
    "group norm": ["HEAD.NORM", "GN", "NECK.NORM", "none"],
    "FrozenBN and P5": ["BACKBONE.NORM", "FrozenBN", "NECK.EXTRA_LEVELS_FROM", "P5"],
    "bottlenecks": ["BACKBONE.DEPTH", "50"],
    "from P2": ["NECK.LEVELS", "[2, 7]"],
    "group norm in the backbone": ["BACKBONE.NORM", "GN"],
}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("model", MODELS)
def test_a_detector_comes_back_from_any_two_toolkits(make_state, model: str) -> None:
    state = make_state(*MODELS[model])
    if model == "group norm":  # torchvision and MMDetection have no bias before a norm
        state = {
            name: value * 0 if "_tower.convs" in name and name.endswith("bias") else value for name, value in state.items()
        }
    for there, over in itertools.product(DETECTORS, repeat=2):
        first = convert(state, "it", there)
        second = convert(first.state, "it", over, given=there)
        back = convert(second.state, "it", "dettoolkit", given=over)
        for step in (first, second, back):
            assert step.is_whole
            assert step.problems == []
            sources = step.renamed.keys() | step.left_over.keys()
            assert sources == step.source.state.keys(), "every tensor is told of"
            assert set(step.renamed.values()) | step.filled.keys() == step.state.keys()
        assert same(back.state, state), (there, over)


@pytest.mark.parametrize("norm", ["BN", "FrozenBN", "GN"])
@pytest.mark.parametrize("depth", [18, 50])
def test_a_backbone_comes_back_from_any_toolkit(make_state, depth: int, norm: str) -> None:
    state = make_state("BACKBONE.DEPTH", depth, "BACKBONE.NORM", norm)
    backbone = {name: value for name, value in state.items() if name.startswith("backbone.")}
    for there in ("detectron2", "torchvision", "caffe2"):
        done = convert(backbone, "it", there)
        assert (done.problems, done.missing, done.unknown) == ([], [], [])
        back = convert(done.state, "it", "dettoolkit", given=there)
        counters = {name for name in backbone if name.endswith("num_batches_tracked") and there == "caffe2"}
        assert same(back.state, {name: value for name, value in backbone.items() if name not in counters})


def test_every_format_knows_its_own_names_and_no_other(make_state) -> None:
    state = make_state()
    backbone = {name: value for name, value in state.items() if name.startswith("backbone.")}
    for name, module in FORMATS.items():
        theirs = convert(backbone if name == "caffe2" else state, "it", name).state
        assert [other for other, candidate in FORMATS.items() if candidate.kind(theirs)] == [name]
        assert module.kind(state) is None


def test_mmdetection_takes_a_backbone_alone_from_torchvision(make_state) -> None:
    backbone = {name: value for name, value in make_state().items() if name.startswith("backbone.")}
    (problem,) = convert(backbone, "it", "mmdetection").problems
    assert "--to torchvision" in problem


UNEXPRESSIBLE = {
    ("detectron2", "NECK.LEVELS", "[3, 6]"): "neck.extra: Detectron2 makes P6 and P7 or none of both, the model P6",
    ("torchvision", "NECK.LEVELS", "[3, 6]"): "neck.extra: torchvision makes P6 and P7 or none of both, the model P6",
    ("detectron2", "NECK.NORM", "GN"): "detectron2 cannot express neck.extra.P6.1.weight and 3 more",
    ("torchvision", "NECK.NORM", "GN"): "torchvision cannot express neck.extra.P6.1.weight and 3 more",
    ("torchvision", "HEAD.NORM", "GN"): "torchvision cannot express head.classification_tower.convs.0.bias and 7 more",
    ("mmdetection", "HEAD.NORM", "GN"): "mmdetection cannot express head.classification_tower.convs.0.bias and 7 more",
    ("torchvision", "HEAD.NUM_CONVS", 2): "head.classification_tower: torchvision's towers have 4 convolutions, the model's 2",
    ("caffe2", "HEAD.NORM", "none"): "in caffe2's names only ResNets are written",
}


@pytest.mark.parametrize(("target", "key", "value"), UNEXPRESSIBLE)
def test_what_a_toolkit_cannot_express_is_a_problem(make_state, target: str, key: str, value: object) -> None:
    assert convert(make_state(key, value), "it", target).problems[0] == UNEXPRESSIBLE[target, key, value]


@pytest.mark.parametrize("target", ["torchvision", "mmdetection", "detectron2"])
def test_group_norms_of_other_groups_are_a_problem(make_state, target: str) -> None:
    state = make_state("HEAD.NORM", "GN", "NECK.OUT_CHANNELS", 32)  # ours have 16 groups then, theirs 32
    assert (
        "a group norm of 32 channels has other groups in dettoolkit than the 32 elsewhere"
        in convert(state, "it", target).problems[0]
    )


def test_statistics_by_level_are_detectron2s_and_no_one_elses(make_state) -> None:
    state = make_state("HEAD.NORM", "BN")
    scales = {name for name in state if "_tower.norms" in name and name.endswith(("weight", "bias"))}
    state |= {name: torch.ones_like(state[name]) for name in scales}
    done = convert(state, "it", "detectron2")
    assert done.problems == []
    assert done.state["head.cls_subnet.1.4.running_mean"] is state["head.classification_tower.norms.0.levels.4.running_mean"]
    assert "head.cls_subnet.1.4.weight" not in done.state  # Detectron2 has one scale for all levels
    assert same(convert(done.state, "it", "dettoolkit").state, state)
    for target in ("torchvision", "mmdetection"):
        assert "cannot express head.classification_tower.convs.0.bias" in convert(state, "it", target).problems[0]


def test_a_norm_that_all_levels_share_is_spread_and_gathered(make_state) -> None:
    state = make_state("HEAD.NORM", "BN")
    for name in state:
        if "_tower.norms" in name:
            state[name] = state[name.replace(f".levels.{name.split('.')[5]}.", ".levels.0.")]
        elif "_tower.convs" in name and name.endswith("bias"):
            state[name] = torch.zeros_like(state[name])
    for target in ("torchvision", "mmdetection"):
        done = convert(state, "it", target)
        assert done.problems == []
        assert same(convert(done.state, "it", "dettoolkit", given=target).state, state)


def test_the_criterions_memory_stays_behind(make_state) -> None:
    state = make_state() | {"criterion.normalizer.average": torch.tensor(100.0)}
    done = convert(state, "it", "detectron2")
    assert done.left_over == {"criterion.normalizer.average": "what the criterion remembers while it trains"}
    assert done.problems == []
