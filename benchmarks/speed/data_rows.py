"""Rows before and after the network: decoding with resizing, and COCO evaluation."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor
from torchvision.tv_tensors import Image

from benchmarks.speed.timing import Row
from dettoolkit.data import image_io
from dettoolkit.data.transforms import ResizeShortestEdge
from dettoolkit.evaluation import CocoEvaluator
from dettoolkit.structures import Annotations, DatasetInfo, Detections, Sample


def loading(device: torch.device) -> Iterator[Row]:
    """Yield decoding a JPEG of 640 x 480, resizing its shorter side to 800 and flipping it, 20 times in one thread."""
    del device
    import tempfile
    from pathlib import Path

    coarse = np.random.default_rng(0).integers(256, size=(48, 64, 3), dtype=np.uint8)
    picture = PillowImage.fromarray(coarse).resize((640, 480), PillowImage.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=90)
    folder = tempfile.TemporaryDirectory(prefix="speed_")
    path = Path(folder.name, "picture.jpg")
    path.write_bytes(buffer.getvalue())
    resize = ResizeShortestEdge([800], 1333)

    def ours() -> Tensor:
        assert folder.name
        for _ in range(20):
            image = resize(Image(image_io.read_image(path))).flip(-1)
        return image

    def pillow() -> Tensor:
        for _ in range(20):
            with PillowImage.open(path) as opened:
                resized = opened.convert("RGB").resize((1067, 800), PillowImage.Resampling.BILINEAR)
            array = np.asarray(resized.transpose(PillowImage.Transpose.FLIP_LEFT_RIGHT))
            image = torch.from_numpy(array.copy()).permute(2, 0, 1).contiguous()
        return image

    def difference() -> float:
        return float((ours().int() - pillow().int()).abs().max())

    yield Row("decode, resize to 800, flip; 20 JPEGs of 640 x 480", {"dettoolkit": ours, "Pillow": pillow}, difference, 2)


def coco_evaluation(device: torch.device) -> Iterator[Row]:
    """Yield the evaluation of 1,000 images with 100 detections each, from gathering to the numbers."""
    del device
    generator = torch.Generator().manual_seed(0)
    info = DatasetInfo("random", tuple(f"class {label}" for label in range(80)), tuple(range(1, 81)))
    truth = [_truth(generator) for _ in range(1000)]
    found = [_found(each, generator) for each in truth]
    samples = [_sample(index, each) for index, each in enumerate(truth)]

    def evaluate(backend: Any) -> float:
        evaluator = CocoEvaluator(info, backend=backend)
        for start in range(0, len(samples), 8):
            evaluator.update(samples[start : start + 8], found[start : start + 8])
        return float(evaluator.compute()["bbox"]["AP"])

    yield Row(
        "COCO evaluation, 1,000 images, 100,000 detections",
        {"dettoolkit": lambda: evaluate("faster_coco_eval"), "the same by pycocotools": lambda: evaluate("pycocotools")},
        lambda: abs(evaluate("faster_coco_eval") - evaluate("pycocotools")),
        1e-12,
    )


def _truth(generator: torch.Generator) -> Annotations:
    low = torch.rand(7, 2, generator=generator) * 400
    boxes = torch.cat([low, low + 5 + torch.rand(7, 2, generator=generator) * 200], dim=1)
    return Annotations(boxes, torch.randint(80, (7,), generator=generator), torch.zeros(7, dtype=torch.bool))


def _found(truth: Annotations, generator: torch.Generator) -> Detections:
    which = torch.randint(7, (100,), generator=generator)
    boxes = truth.boxes[which] + torch.randn(100, 4, generator=generator) * 8
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    return Detections(boxes, torch.rand(100, generator=generator), truth.labels[which])


def _sample(index: int, truth: Annotations) -> Sample:
    areas = (truth.boxes[:, 2:] - truth.boxes[:, :2]).prod(1)
    return Sample(image_id=index, file_name=f"{index}.jpg", original_size=(640, 640), original=truth, original_areas=areas)
