"""One image through RetinaNet-R50-FPN: the numbers of Detectron2, with weights that are drawn from their names."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode
from torch import Tensor

from dettoolkit.modeling import build_model
from dettoolkit.modeling.meta_archs import RetinaNet
from dettoolkit.structures import Annotations, DensePredictions

NAMES = [  # Detectron2's -> ours
    (r"backbone\.bottom_up\.stem\.conv1\.norm", "backbone.bn1"),
    (r"backbone\.bottom_up\.stem\.conv1", "backbone.conv1"),
    (r"backbone\.bottom_up\.res(\d)", lambda found: f"backbone.layer{int(found[1]) - 1}"),
    (r"shortcut\.norm", "downsample.1"),
    (r"shortcut", "downsample.0"),
    (r"conv(\d)\.norm", r"bn\1"),
    (r"backbone\.fpn_(lateral|output)(\d)", r"neck.\1.P\2.0"),
    (r"backbone\.top_block\.p(\d)", r"neck.extra.P\1.0"),
    (r"head\.(cls|bbox)_subnet\.(\d)", lambda found: f"head.{found[1]}_tower.convs.{int(found[2]) // 2}"),
    (r"cls_(tower|score)", lambda found: "classification" + ("_tower" if found[1] == "tower" else "")),
    (r"bbox_(tower|pred)", lambda found: "box" + ("_tower" if found[1] == "tower" else "")),
]


@dataclass
class Reference:
    """What Detectron2 says, and what the model says of the same image."""

    values: Any
    words: dict[str, Any]
    model: RetinaNet
    image: Tensor
    predictions: DensePredictions

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return [(480, 640)]

    def targets(self) -> list[Annotations]:
        labels = torch.tensor(self.words["gt"]["labels"])
        boxes = torch.tensor(self.words["gt"]["boxes_xyxy"], dtype=torch.float32)
        return [Annotations(boxes, labels, torch.zeros(len(labels), dtype=torch.bool))]


def our_name(name: str) -> str:
    for pattern, ours in NAMES:
        name = re.sub(pattern, ours, name)
    return name


def drawn(name: str, shape: list[int]) -> Tensor:
    """Return the parameter that the reference's README describes."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("running_mean"):
        value = 0.1 * rng.standard_normal(shape)
    elif name.endswith("running_var"):
        value = 1.0 + 0.2 * rng.random_sample(shape)
    elif ".norm" in name and name.endswith("weight"):
        scale = 0.02 if ".stem." in name else 0.25 if "conv3" in name else 1
        value = scale * (0.8 + 0.4 * rng.random_sample(shape))
    elif name.endswith("cls_score.bias"):
        value = -3.0 + 0.5 * rng.standard_normal(shape)
    elif name.endswith("bias"):
        value = 0.05 * rng.standard_normal(shape)
    else:
        gain = 0.25 if "cls_score" in name else 0.02 if "bbox_pred" in name else 1.0 if "fpn" in name else 2.0
        value = rng.standard_normal(shape) * np.sqrt(gain / np.prod(shape[1:]))
    return torch.from_numpy(value.astype(np.float32))


@pytest.fixture(scope="module")
def reference(real_data: Path, model_config: Callable[..., CfgNode]) -> Reference:
    folder = real_data / "detectron2_reference"
    if not folder.is_dir():
        pytest.skip("no detectron2_reference among the real data")
    import cv2

    words = json.loads((folder / "d2_r50.json").read_text(encoding="utf-8"))
    backbone = {"NAME": "ResNet", "DEPTH": 50, "NORM": "FrozenBN", "FREEZE_STAGES": 2, "STRIDE_IN_1X1": True}
    pixels = {"CHANNEL_ORDER": "BGR", "PIXEL_MEAN": words["pixel_mean_bgr"], "PIXEL_STD": words["pixel_std"]}
    config = model_config(
        NUM_CLASSES=80,
        INPUT=pixels,
        BACKBONE=backbone,
        NECK={"NAME": "FPN"},
        HEAD={"NAME": "RetinaNetHead"},
        LOSSES={"REGRESSION": {"NAME": "SmoothL1Loss", "BETA": 0.0}},  # as Detectron2's Base-RetinaNet.yaml
        NORMALIZER="moving_average",
    )
    model = build_model(config)
    state = {our_name(name): drawn(name, shape) for name, shape in words["parameters"].items()}
    model.load_state_dict(state | {"criterion.normalizer.average": torch.tensor(100.0)})
    bgr = cv2.imread(str(real_data / "bccd" / "images" / words["gt"]["image"]))
    image = torch.from_numpy(np.ascontiguousarray(bgr[:, :, ::-1])).permute(2, 0, 1)[None]
    predictions = model.predictions(image, [(480, 640)])
    return Reference(np.load(folder / "d2_r50.npz"), words, model, image, predictions)


def test_logits_and_deltas(reference: Reference) -> None:
    for level, name in enumerate(["p3", "p4", "p5", "p6", "p7"]):
        for kind, rows in (("logits", reference.predictions.logits), ("deltas", reference.predictions.deltas)):
            size, (height, width) = rows[level].shape[-1], reference.predictions.map_sizes[level]
            as_map = rows[level].detach().view(1, height, width, 9 * size).permute(0, 3, 1, 2)
            assert as_map.shape == tuple(reference.values[f"{name}/{kind}/shape"])
            wanted = reference.values[f"{name}/{kind}/value"]
            found = as_map.flatten()[torch.from_numpy(reference.values[f"{name}/{kind}/index"])]
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


def test_detections(reference: Reference) -> None:
    (found,) = reference.model.detections(reference.predictions, reference.sizes)
    boxes, scores, labels = (torch.from_numpy(reference.values[f"detections/{kind}"]) for kind in ("boxes", "scores", "labels"))
    same = (found.labels[:, None] == labels) & ((found.scores[:, None] - scores).abs() < 1e-5)
    same &= (found.boxes[:, None] - boxes).abs().amax(-1) < 0.01
    # Detectron2 clips boxes after the suppression, we before it as torchvision does: at the border one may decide otherwise
    assert len(found) == len(labels) == 100
    assert same.any(dim=1).sum() >= 98
    assert same.any(dim=0).sum() >= 98


def test_losses_and_gradients(reference: Reference) -> None:
    reference.model.eval()
    sums = reference.model.losses(reference.predictions, reference.targets())
    values = reference.values
    assert sums.metrics["num_positives"].item() == values["num_positive_anchors"]
    assert sums.losses["loss_cls"].item() == pytest.approx(float(values["loss_cls_sum"]), rel=1e-4)
    assert sums.losses["loss_box"].item() == pytest.approx(float(values["loss_box_reg_sum"]), rel=1e-4)

    reference.model.train()
    output = reference.model.losses(reference.predictions, reference.targets())
    assert reference.model.criterion.normalizer.average.item() == pytest.approx(float(values["normalizer"]))
    assert output.losses["loss_cls"].item() == pytest.approx(float(values["loss_cls"]), rel=1e-4)
    assert output.losses["loss_box"].item() == pytest.approx(float(values["loss_box_reg"]), rel=1e-4)
    output.total.backward()
    norms = {name: p.grad.norm().item() for name, p in reference.model.named_parameters() if p.grad is not None}
    assert norms == pytest.approx({our_name(k): v for k, v in reference.words["gradient_norms"].items()}, rel=2e-3)
