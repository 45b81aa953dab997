"""Does an exported file find what its model finds? At two batch sizes and two picture sizes, and how fast."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import v2

from dettoolkit.data.transforms import InferencePipeline
from dettoolkit.export.comparison import SCORE_TOLERANCE, Differences, Rules, compare
from dettoolkit.inference.exported_detector import ExportedDetector
from dettoolkit.inference.image_input import as_pixels, as_sample
from dettoolkit.inference.stored_detector import StoredDetector
from dettoolkit.modeling.dense.nms import ClassAgnosticNMS
from dettoolkit.structures import Batch

BATCH_SIZES = (1, 2)
_SCALES = (0.75, 0.5, 1.5)  # of the second picture size: the first that makes a batch of another size
_TIMED = 2


@dataclass(frozen=True)
class Check:
    """A batch that model and exported file were both given.

    Args:
        batch_size: N.
        size: (height, width) of the batch.
        differences: of what they found.
        eager_seconds: of the model, from pixels to detections.
        exported_seconds: of the exported file.
    """

    batch_size: int
    size: tuple[int, int]
    differences: Differences
    eager_seconds: float
    exported_seconds: float


@torch.no_grad()
def verify(stored: StoredDetector, exported: ExportedDetector, images: Sequence[str | Path] = ()) -> Iterator[Check]:
    """Yield what comes out at each batch size and picture size.

    All that the decoder can return is compared, down to a score of 0, so that there is something to compare whatever the
    pictures show; and how many of it are above the score threshold.

    Args:
        stored: the model, on the CPU, in evaluation mode.
        exported: the file, on the CPU.
        images: picture files; generated ones where there are none.

    Raises:
        DataError: a picture cannot be read.
    """
    model: Any = stored.model
    for batch in batches(stored, exported.size_divisibility, images):
        given = batch.images, batch.image_sizes
        found = differences(model, exported, *given)
        seconds = [_seconds(lambda run=run, given=given: run(*given)) for run in (model, exported)]  # type: ignore[misc]
        size = int(batch.images.shape[2]), int(batch.images.shape[3])
        yield Check(len(batch), size, found, *seconds)


def differences(model: Any, exported: ExportedDetector, images: Tensor, image_sizes: list[tuple[int, int]]) -> Differences:
    """Return how far what a model and its exported file find in a batch is apart, above the score threshold and below it.

    Args:
        model: a detector, in evaluation mode.
        exported: the file.
        images: ``[N, C, H, W]`` uint8 RGB.
        image_sizes: (height, width) of each image before padding.
    """
    predictions, raw = model.predictions(images, image_sizes), exported.predictions(images, image_sizes)
    whole = copy.copy(model.decoder)
    whole.score_threshold = 0.0
    expected = [each.to("cpu") for each in whole(predictions, model.anchors(predictions.map_sizes, images.device), image_sizes)]
    nms = model.decoder.nms
    rules = Rules(model.decoder.max_detections, getattr(nms, "iou_threshold", None), not isinstance(nms, ClassAgnosticNMS))
    found = [each.to("cpu") for each in exported.detections(raw, image_sizes, below_threshold=True)]
    result = compare(expected, found, rules)
    for image, (one, above) in enumerate(zip(found, exported.detections(raw, image_sizes), strict=True)):
        # scores at the very threshold may be on either side of it
        limits = (model.decoder.score_threshold + side * SCORE_TOLERANCE for side in (1, -1))
        fewest, most = (int((one.scores > limit).sum()) for limit in limits)
        if result.problem is None and not fewest <= len(above) <= most:
            result.problem = f"image {image}: {len(above)} detections are counted as above the score threshold, {most} are"
    return result


def _seconds(run: Callable[[], object]) -> float:
    """Return how long a call takes, the shorter of two; it has been called before."""
    times = []
    for _ in range(_TIMED):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def batches(stored: StoredDetector, divisibility: int, images: Sequence[str | Path] = ()) -> Iterator[Batch]:
    """Yield a batch of each batch size, at each of two picture sizes, prepared as for inference."""
    pixels = [as_pixels(image, str(image)) for image in images[: max(BATCH_SIZES)]] or generated_pictures()
    pixels = (pixels * max(BATCH_SIZES))[: max(BATCH_SIZES)]
    pipeline = InferencePipeline(stored.cfg.DATASETS.TEST_TRANSFORMS)
    samples = [pipeline(as_sample(each)) for each in pixels]
    first = [Batch.collate(samples[:count], divisibility) for count in BATCH_SIZES]
    yield from first
    for scale in _SCALES:
        scaled = [{**sample, "image": _scaled(sample["image"], scale)} for sample in samples]
        other = [Batch.collate(scaled[:count], divisibility) for count in BATCH_SIZES]  # type: ignore[arg-type]
        if all(one.images.shape[2:] != two.images.shape[2:] for one, two in zip(first, other, strict=True)):
            yield from other
            return


def _scaled(image: Tensor, scale: float) -> Tensor:
    size = [max(1, round(side * scale)) for side in image.shape[-2:]]
    return v2.functional.resize(image.as_subclass(Tensor), size)


def generated_pictures() -> list[Tensor]:
    """Return two pictures of different sizes, uint8 ``[3, H, W]``: coarse noise under fine noise, no two places alike."""
    generator = torch.Generator().manual_seed(0)
    pictures = []
    for height, width in ((480, 640), (600, 420)):
        picture = torch.zeros(1, 3, height, width)
        for cell in (96, 24, 6):
            grid = torch.randn(1, 3, height // cell + 2, width // cell + 2, generator=generator)
            picture += functional.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)
        picture += 0.1 * torch.randn(picture.shape, generator=generator)
        pictures.append((128 + 48 * picture[0]).clamp(0, 255).to(torch.uint8))
    return pictures
