"""MMDetection's RetinaNet, written here after its documents, says the same as ours with its weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dettoolkit.checkpoint import load_weights
from dettoolkit.checkpoint.converters import mmdetection
from dettoolkit.config import load_config
from dettoolkit.modeling import build_model
from dettoolkit.modeling.backbones import ResNet

CLASSES, WIDTH = 3, 64
OURS = [
    *("MODEL.NUM_CLASSES", str(CLASSES), "MODEL.NECK.OUT_CHANNELS", str(WIDTH), "MODEL.NECK.LEVELS", "[3, 7]"),
    *("MODEL.NECK.NORM", "none", "MODEL.NECK.RELU_BETWEEN_EXTRA_LEVELS", "false", "MODEL.BACKBONE.NORM", "BN"),
]


def weights(num_convs: int, norm: str, extra_from: str) -> dict[str, Tensor]:
    """Return drawn weights of a RetinaNet with ResNet-18 under MMDetection's names."""
    torch.manual_seed(0)
    state = {f"backbone.{name}": value for name, value in ResNet(depth=18, norm="BN").state_dict().items()}

    def convolution(name: str, inputs: int, outputs: int, size: int = 3, bias: bool = True) -> None:
        state[f"{name}.weight"] = torch.randn(outputs, inputs, size, size) * (2 / (inputs * size * size)) ** 0.5
        if bias:
            state[f"{name}.bias"] = 0.1 * torch.randn(outputs)

    for index, channels in enumerate([128, 256, 512]):
        convolution(f"neck.lateral_convs.{index}.conv", channels, WIDTH, 1)
        convolution(f"neck.fpn_convs.{index}.conv", WIDTH, WIDTH)
    convolution("neck.fpn_convs.3.conv", 512 if extra_from == "C5" else WIDTH, WIDTH)
    convolution("neck.fpn_convs.4.conv", WIDTH, WIDTH)
    for tower in ("cls_convs", "reg_convs"):
        for index in range(num_convs):
            convolution(f"bbox_head.{tower}.{index}.conv", WIDTH, WIDTH, bias=not norm)
            if norm:
                state[f"bbox_head.{tower}.{index}.{norm}.weight"] = 1 + 0.1 * torch.randn(WIDTH)
                state[f"bbox_head.{tower}.{index}.{norm}.bias"] = 0.1 * torch.randn(WIDTH)
    convolution("bbox_head.retina_cls", WIDTH, 9 * CLASSES)
    convolution("bbox_head.retina_reg", WIDTH, 9 * 4)
    return state


def by_mmdetection(
    state: dict[str, Tensor], maps: list[Tensor], num_convs: int, norm: str, extra_from: str
) -> list[list[Tensor]]:
    """Return class scores and deltas of each level, ``[N, 9 * k, h, w]``, of the maps C3 to C5."""

    def convolved(name: str, x: Tensor, **options: int) -> Tensor:
        return functional.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **options)

    laterals = [convolved(f"neck.lateral_convs.{index}.conv", x) for index, x in enumerate(maps)]
    for index in (1, 0):
        laterals[index] = laterals[index] + functional.interpolate(laterals[index + 1], laterals[index].shape[2:])
    levels = [convolved(f"neck.fpn_convs.{index}.conv", x, padding=1) for index, x in enumerate(laterals)]
    levels.append(convolved("neck.fpn_convs.3.conv", maps[2] if extra_from == "C5" else levels[2], padding=1, stride=2))
    levels.append(convolved("neck.fpn_convs.4.conv", levels[3], padding=1, stride=2))  # relu_before_extra_convs=False
    results = []
    for tower, last in (("cls_convs", "retina_cls"), ("reg_convs", "retina_reg")):
        said = []
        for level in levels:
            x = level
            for index in range(num_convs):
                x = convolved(f"bbox_head.{tower}.{index}.conv", x, padding=1)
                if norm:
                    place = f"bbox_head.{tower}.{index}.{norm}"
                    x = functional.group_norm(x, 32, state[f"{place}.weight"], state[f"{place}.bias"])
                x = functional.relu(x)
            said.append(convolved(f"bbox_head.{last}", x, padding=1))
        results.append(said)
    return results


@torch.no_grad()
@pytest.mark.parametrize(("num_convs", "norm", "extra_from"), [(4, "", "C5"), (2, "gn", "P5")])
def test_the_same_weights_give_the_same_scores_and_deltas(num_convs: int, norm: str, extra_from: str) -> None:
    state = weights(num_convs, norm, extra_from)
    keys = ["MODEL.HEAD.NUM_CONVS", str(num_convs), "MODEL.HEAD.NORM", "GN" if norm else "none"]
    model = build_model(load_config("tiny.yaml", [*OURS, *keys, "MODEL.NECK.EXTRA_LEVELS_FROM", extra_from])).eval()
    report = load_weights(model, {"meta": {"CLASSES": ("a", "b", "c")}, "state_dict": state})
    assert (report.kind, report.complete) == ("MMDetection detector", True)
    features = model.backbone(torch.rand(1, 3, 64, 96))
    found = model.head(model.neck(features))
    scores, deltas = by_mmdetection(state, [features[f"C{level}"] for level in (3, 4, 5)], num_convs, norm, extra_from)
    # its anchors at a location (scale_major): all sizes of the first ratio, ...; ours: all ratios of the first size, ...
    order = [ratio * 3 + size for size in range(3) for ratio in range(3)]
    for ours, theirs in ((found.logits, scores), (found.deltas, deltas)):
        for level, wanted in zip(ours, theirs, strict=True):
            rows = wanted.unflatten(1, (9, -1))[:, order].permute(0, 3, 4, 1, 2).flatten(1, 3)
            torch.testing.assert_close(level, rows, rtol=1e-4, atol=1e-4)
    back = mmdetection.from_dettoolkit(mmdetection.to_dettoolkit(state).state).state
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_norms_are_called_by_their_kind() -> None:
    state = {f"backbone.gn1.{name}": torch.ones(64) for name in ("weight", "bias")}
    state["neck.lateral_convs.0.gn.weight"], state["neck.fpn_convs.1.bn.running_mean"] = torch.ones(64), torch.ones(64)
    done = mmdetection.to_dettoolkit(state)
    # one lateral convolution: the pyramid's only merged level is P5
    assert set(done.state) == {
        "backbone.bn1.weight",
        "backbone.bn1.bias",
        "neck.lateral.P5.1.weight",
        "neck.extra.P6.1.running_mean",
    }


def test_norms_by_level_and_other_stems_are_not_known() -> None:
    names = ["bbox_head.cls_convs.0.0.conv.weight", "backbone.stem.0.weight", "backbone.layer1.0.downsample.2.weight"]
    assert mmdetection.to_dettoolkit({name: torch.ones(1) for name in names}).unknown == names
