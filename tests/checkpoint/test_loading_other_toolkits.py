"""Files of other toolkits go into our models as they are, and what does not fit is told."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import detection

from dettoolkit.checkpoint import load_backbone, load_pretrained, load_weights
from dettoolkit.checkpoint.convert import convert
from dettoolkit.checkpoint.weight_file import write_weights
from dettoolkit.config import load_config
from dettoolkit.errors import CheckpointError
from dettoolkit.modeling import build_model

SMALL = ["MODEL.NECK.NORM", "none", "MODEL.HEAD.NORM", "none", "MODEL.HEAD.NUM_CONVS", "4", "MODEL.NECK.LEVELS", "[3, 7]"]
BGR = ["MODEL.INPUT.CHANNEL_ORDER", "BGR"]


def detector(num_classes: int = 3, *overrides: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_model(load_config("tiny.yaml", ["MODEL.NUM_CLASSES", str(num_classes), *SMALL, *overrides])).eval()


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a model's weights as another toolkit's file."""

    def write(model: nn.Module, toolkit: str, name: str = "weights.pkl", part: str = "") -> Path:
        state = {key: value for key, value in model.state_dict().items() if key.startswith(part)}
        write_weights(tmp_path / name, convert(state, "it", toolkit).state, toolkit)
        return tmp_path / name

    return write


@pytest.mark.parametrize("toolkit", ["detectron2", "torchvision", "mmdetection"])
@pytest.mark.parametrize("suffix", [".pkl", ".pth", ".safetensors"])
def test_a_detector_is_loaded_from_any_file(written, toolkit: str, suffix: str) -> None:
    trained, model = detector(), detector(seed=1)
    report = load_weights(model, written(trained, toolkit, f"weights{suffix}"))
    assert report.complete
    assert same(model.state_dict(), trained.state_dict())


@pytest.mark.parametrize("toolkit", ["detectron2", "torchvision", "mmdetection"])
def test_a_backbone_is_taken_out_of_any_detector(written, toolkit: str) -> None:
    trained, model = detector(), detector(seed=1)
    load_backbone(model.backbone, written(trained, toolkit))
    assert same(model.backbone.state_dict(), trained.backbone.state_dict())


@pytest.mark.parametrize("toolkit", ["detectron2", "torchvision", "dettoolkit"])
def test_a_backbone_alone_goes_into_the_models(written, toolkit: str) -> None:
    trained, model = detector(), detector(seed=1)
    before = model.head.box.weight.clone()
    report = load_weights(model, written(trained, toolkit, part="backbone."))
    assert report.complete
    assert same(model.backbone.state_dict(), trained.backbone.state_dict())
    assert torch.equal(model.head.box.weight, before)


def test_a_detector_of_another_kind_gives_its_backbone(written) -> None:
    path = written(trained := detector(), "detectron2")
    data = pickle.loads(path.read_bytes())
    data["model"] = {name: value for name, value in data["model"].items() if not name.startswith("head.")}
    data["model"]["roi_heads.box_head.fc1.weight"] = np.ones((2, 2), np.float32)
    model = detector(seed=1)
    load_backbone(model.backbone, data)
    assert same(model.backbone.state_dict(), trained.backbone.state_dict())
    with pytest.raises(
        CheckpointError, match=r"Detectron2 detector\) does not fit the model:\n20 missing in the file: head\.classif"
    ) as caught:
        load_weights(model, data)
    assert "1 unknown to the model: roi_heads.box_head.fc1.weight" in str(caught.value)


def test_torchvisions_own_state_dict_is_loaded() -> None:
    theirs = detection.retinanet_resnet50_fpn(weights=None, weights_backbone=None, num_classes=4)
    keys = ["MODEL.BACKBONE.DEPTH", "50", "MODEL.BACKBONE.NORM", "BN", "MODEL.NECK.OUT_CHANNELS", "256"]
    report = load_weights(detector(4, *keys, "MODEL.NECK.EXTRA_LEVELS_FROM", "P5"), theirs.state_dict())
    assert (report.kind, report.complete) == ("torchvision detector", True)


@pytest.mark.parametrize("toolkit", ["detectron2", "torchvision", "mmdetection"])
def test_other_classes_are_reinitialised_in_training_and_an_error_elsewhere(written, caplog, toolkit: str) -> None:
    path = written(trained := detector(80), toolkit)
    model = detector(3, seed=1)
    fresh = model.head.classification.weight.clone()
    with pytest.raises(CheckpointError, match=r"of other classes than the model \(80 -> 3 classes\)"):
        load_weights(model, path)
    with caplog.at_level(logging.INFO):
        (report,) = load_pretrained(model, load_config("tiny.yaml", ["MODEL.WEIGHTS", str(path)]))
    assert "classification layer re-initialised (80 -> 3 classes)" in caplog.messages
    assert report.reinitialised == ("head.classification.weight", "head.classification.bias")
    assert torch.equal(model.head.classification.weight, fresh)
    assert torch.equal(model.head.box.weight, trained.head.box.weight)


def test_a_name_that_no_rule_knows_is_an_error(written) -> None:
    data = pickle.loads(written(detector(), "detectron2").read_bytes())
    data["model"]["backbone.bottom_up.res3.0.conv2_offset.weight"] = np.ones((2, 2), np.float32)
    with pytest.raises(CheckpointError, match=r"1 unknown to the model: backbone.bottom_up.res3.0.conv2_offset.weight"):
        load_weights(detector(), data)
    with pytest.raises(CheckpointError, match=r"1 unknown to the model: backbone.bottom_up.res3.0.conv2_offset.weight"):
        load_backbone(detector().backbone, data)


def test_norms_of_other_groups_are_an_error(written) -> None:
    narrow = detector(3, "MODEL.NECK.OUT_CHANNELS", "32", "MODEL.HEAD.NORM", "GN")
    state = convert(narrow.state_dict(), "it", "detectron2").state
    with pytest.raises(CheckpointError, match=r"cannot be used here: .*a group norm of 32 channels has other groups"):
        load_weights(narrow, state)


def test_what_is_no_tensor_among_anothers_weights_is_named() -> None:
    data = {"model": {"backbone.bottom_up.stem.conv1.weight": torch.ones(1), "epoch": 3}}
    with pytest.raises(
        CheckpointError, match=r"Detectron2 detector\): there is more than tensors among its weights: epoch \(int\)"
    ):
        load_weights(detector(), data)


def test_a_model_with_such_names_of_its_own_takes_them_as_they_are() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bbox_head = nn.ModuleDict({"retina_cls": nn.Conv2d(1, 9, 3), "retina_reg": nn.Conv2d(1, 36, 3)})

    trained, model = Own(), Own()
    load_weights(model, {"model": trained.state_dict()})
    assert same(model.state_dict(), trained.state_dict())


def test_the_first_convolution_of_another_toolkit_is_adapted(written) -> None:
    trained = detector()
    gray = ["MODEL.BACKBONE.IN_CHANNELS", "1", "MODEL.INPUT.PIXEL_MEAN", "[120.0]", "MODEL.INPUT.PIXEL_STD", "[60.0]"]
    model = detector(3, *gray, seed=1)
    load_backbone(model.backbone, written(trained, "detectron2"))
    torch.testing.assert_close(model.backbone.conv1.weight, trained.backbone.conv1.weight.sum(1, keepdim=True))


def caffe2(model: nn.Module) -> dict[str, Any]:
    state = {name: value for name, value in model.state_dict().items() if name.startswith("backbone.")}
    return {"blobs": {name: value.numpy() for name, value in convert(state, "it", "caffe2").state.items()}}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_weights_of_bgr_images_in_a_model_of_rgb_are_warned_of(caplog, tmp_path: Path) -> None:
    (tmp_path / "R-18.pkl").write_bytes(pickle.dumps(caffe2(detector())))
    cfg = load_config("tiny.yaml", ["MODEL.BACKBONE.WEIGHTS", str(tmp_path / "R-18.pkl")])
    load_pretrained(detector(3, *BGR), cfg)
    assert warnings_of(caplog) == []
    load_pretrained(detector(), cfg)
    (message,) = warnings_of(caplog)
    assert "R-18.pkl (caffe2 ResNet): the model gets RGB images" in message
    assert "MODEL.INPUT.CHANNEL_ORDER BGR, PIXEL_MEAN [103.53, 116.28, 123.675]" in message
    assert "MODEL.BACKBONE.STRIDE_IN_1X1 true" in message


@pytest.mark.parametrize(
    ("mean", "author", "warned"),
    [
        ([103.53, 116.28, 123.675], "Detectron2 Model Zoo", "trained with MODEL.INPUT.PIXEL_MEAN [103.53, 116.28, 123.675]"),
        ([123.675, 116.28, 103.53], "Detectron2 Model Zoo", None),
        (None, "Detectron2 Model Zoo", "Detectron2's weights are of BGR images unless its INPUT.FORMAT was RGB"),
        (None, "torchvision", None),
        (None, "dettoolkit", None),
    ],
)
def test_detectron2s_pixels_are_compared_with_the_models(
    caplog, mean: list[float] | None, author: str, warned: str | None
) -> None:
    state = dict(convert(detector().state_dict(), "it", "detectron2").state)
    if mean:
        state["pixel_mean"] = torch.tensor(mean).view(3, 1, 1)
        state["pixel_std"] = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    load_weights(detector(), {"model": state, "__author__": author})
    messages = warnings_of(caplog)
    assert len(messages) == (warned is not None)
    assert all(str(warned) in message for message in messages)
