"""One image through Detectron2's RetinaNet R50-FPN, and through ours with the same weights, converted.

The numbers are those of ``detectron2_reference`` among the real data (its README says how they came about). Each weight is
drawn from its name, so that no file of weights is needed.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.parity.comparison import Comparison, absolute, of_detections, relative, relative_each
from dettoolkit.checkpoint.converters import detectron2
from dettoolkit.config import load_config
from dettoolkit.modeling import build_model
from dettoolkit.structures import Annotations, DensePredictions, Detections

CONFIG = Path(__file__).parents[2] / "configs/compat/detectron2_retinanet_r50_fpn_1x.yaml"
REFERENCE = "Detectron2 02b5c4e2"
LEVELS = ["p3", "p4", "p5", "p6", "p7"]
SIZE = (480, 640)


def compare(folder: Path) -> Iterator[Comparison]:
    """Yield what is compared, with the reference's numbers in ``folder``/detectron2_reference."""
    words = json.loads((folder / "detectron2_reference/d2_r50.json").read_text(encoding="utf-8"))
    values = np.load(folder / "detectron2_reference/d2_r50.npz")
    model: Any = build_model(load_config(CONFIG, ["MODEL.NUM_CLASSES", "80"])).train()
    converted = detectron2.to_dettoolkit({name: drawn(name, shape) for name, shape in words["parameters"].items()})
    assert not converted.unknown, converted.unknown
    model.load_state_dict({**converted.state, "criterion.normalizer.average": torch.tensor(100.0)})
    image = _read_rgb(folder / "bccd/images" / words["gt"]["image"])
    maps = model.neck(model.backbone(model.normalization(image, [SIZE])))
    predictions = model.head(maps)

    yield from _maps(values, maps, predictions)
    yield from _anchors(values, model.anchors(predictions.map_sizes, "cpu"))
    yield from _losses(values, words, model, predictions)
    theirs = Detections(*(torch.from_numpy(values[f"detections/{kind}"]) for kind in ("boxes", "scores", "labels")))
    scores, corners = of_detections(model.detections(predictions, [SIZE]), [theirs])
    yield Comparison("scores of the 100 detections", REFERENCE, scores, 1e-5, "absolute")
    yield Comparison("boxes of the 100 detections", REFERENCE, corners, 0.01, "px")


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


def _read_rgb(path: Path) -> Tensor:
    import cv2  # the reference decoded its image by OpenCV

    bgr = cv2.imread(str(path))
    return torch.from_numpy(np.ascontiguousarray(bgr[:, :, ::-1])).permute(2, 0, 1)[None]


def _maps(values: Any, maps: list[Tensor], predictions: DensePredictions) -> Iterator[Comparison]:
    for index, level in enumerate(LEVELS):
        height, width = predictions.map_sizes[index]
        logits, deltas = (
            rows[index].detach().view(1, height, width, -1).permute(0, 3, 1, 2)
            for rows in (predictions.logits, predictions.deltas)
        )
        for kind, ours in (("feature", maps[index].detach()), ("logits", logits), ("deltas", deltas)):
            key = f"{level}/{kind}"
            same_shape = list(ours.shape) == values[f"{key}/shape"].tolist()
            found = ours.flatten()[torch.from_numpy(values[f"{key}/index"])] if same_shape else torch.zeros(0)
            difference = absolute(found, torch.from_numpy(values[f"{key}/value"])) / float(values[f"{key}/std"])
            yield Comparison(f"{level.upper()} {kind}", REFERENCE, difference, 1e-4, "of the level's deviation")


def _anchors(values: Any, anchors: list[Tensor]) -> Iterator[Comparison]:
    difference = 0.0
    for level, ours in zip(LEVELS, anchors, strict=True):
        if len(ours) != int(values[f"{level}/anchors_count"]):
            difference = float("inf")
        ends = torch.cat([ours[:27], ours[-27:]])
        theirs = np.concatenate([values[f"{level}/anchors_{end}"] for end in ("first", "last")])
        difference = max(difference, absolute(ends, torch.from_numpy(theirs)))
    yield Comparison("anchors, in their order", REFERENCE, difference, 1e-4, "px")


def _losses(values: Any, words: dict[str, Any], model: Any, predictions: DensePredictions) -> Iterator[Comparison]:
    labels = torch.tensor(words["gt"]["labels"])
    boxes = torch.tensor(words["gt"]["boxes_xyxy"], dtype=torch.float32)
    targets = [Annotations(boxes, labels, torch.zeros(len(labels), dtype=torch.bool))]
    model.criterion.eval()  # local sums
    sums = model.losses(predictions, targets)
    model.criterion.train()
    output = model.losses(predictions, targets)
    positives = absolute(sums.metrics["num_positives"], float(values["num_positive_anchors"]))
    yield Comparison("number of positive anchors", REFERENCE, positives, 0, "absolute")
    pairs = {
        "sum of the classification loss": (sums.losses["loss_cls"], "loss_cls_sum"),
        "sum of the box loss": (sums.losses["loss_box"], "loss_box_reg_sum"),
        "moving-average normaliser": (model.criterion.normalizer.average, "normalizer"),
        "classification loss": (output.losses["loss_cls"], "loss_cls"),
        "box loss": (output.losses["loss_box"], "loss_box_reg"),
    }
    for what, (ours, key) in pairs.items():
        yield Comparison(what, REFERENCE, relative(ours.detach(), float(values[key])), 1e-5, "relative")
    output.total.backward()
    norms = {name: float(p.grad.norm()) for name, p in model.named_parameters() if p.grad is not None}
    renamed = detectron2.to_dettoolkit(words["gradient_norms"]).state
    yield Comparison("gradient norm of each parameter", REFERENCE, relative_each(norms, renamed), 1e-3, "relative")
