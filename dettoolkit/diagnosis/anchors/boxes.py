"""The boxes of a data set as the detector meets them in training: after the configured transforms, without any pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from fvcore.common.config import CfgNode
from torch import Tensor
from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat, Image

from dettoolkit.data.records import RecordArray
from dettoolkit.data.transforms import Pipeline, build_transforms
from dettoolkit.data.transforms.surroundings import Surroundings, TrainingLength, Transform, apply_one
from dettoolkit.errors import DettoolkitError
from dettoolkit.structures import Duration


@dataclass(frozen=True)
class TransformedBoxes:
    """Boxes of N images, one after another.

    Args:
        boxes: ``[G, 4]`` float32 xyxy, pixels of the transformed images.
        labels: ``[G]`` int64.
        ignore: ``[G]`` bool; True marks a crowd region.
        areas: ``[G]`` float32, square pixels as the annotation file gives them: what COCO's evaluation calls small or large.
        images: ``[G]`` int64: which of the N images a box is of; ascending.
        sizes: ``[N, 2]`` int64, (height, width) of the transformed images, without padding.
        indices: ``[N]`` int64: of the images in the data set.
        numbers: ``[G]`` int64: of the boxes, counted through all images of the data set.
    """

    boxes: Tensor
    labels: Tensor
    ignore: Tensor
    areas: Tensor
    images: Tensor
    sizes: Tensor
    indices: Tensor
    numbers: Tensor

    def objects(self) -> TransformedBoxes:
        """Return the same without crowd regions, which no anchor stands for."""
        kept = ~self.ignore
        rows = {name: getattr(self, name)[kept] for name in ("boxes", "labels", "ignore", "areas", "images", "numbers")}
        return replace(self, **rows)


def sampled_images(
    num_boxes: np.ndarray, most_boxes: int | None = None, seed: int = 0, most_images: int | None = None
) -> np.ndarray:
    """Return ascending indices of images drawn at random, all of them where no limit is reached, and at least one.

    Args:
        num_boxes: ``[len]`` boxes of each image.
        most_boxes: boxes that they have in all; None: no limit.
        seed: of the draw.
        most_images: how many images; None: no limit.
    """
    order = np.random.default_rng(seed).permutation(len(num_boxes))[:most_images]
    fit = len(order) if most_boxes is None else int((num_boxes[order].cumsum() <= most_boxes).sum())
    return np.sort(order[: max(1, fit)])


def transformed_boxes(cfg: CfgNode, records: RecordArray, indices: np.ndarray | None = None) -> TransformedBoxes:
    """Send the boxes of a data set through ``DATASETS.TRAIN_TRANSFORMS``, once, as the first epoch would with some seed.

    No image is decoded. Transforms get the boxes alone; one that cannot do without an image gets a black one.

    Args:
        cfg: of the training.
        records: of the data set.
        indices: the images to take; None: all.

    Raises:
        ConfigError: a transform cannot be built.
    """
    epoch = max(1, len(records) // cfg.SOLVER.BATCH_SIZE)
    length = TrainingLength(Duration.parse(cfg.SOLVER.LENGTH).iterations(epoch), epoch, cfg.SOLVER.BATCH_SIZE)
    transforms = build_transforms(cfg.DATASETS.TRAIN_TRANSFORMS, "DATASETS.TRAIN_TRANSFORMS", length)
    pipeline = Pipeline([_BoxesAlone(transform) for transform in transforms])
    starts = np.concatenate([[0], np.cumsum(records.num_boxes, dtype=np.int64)])
    chosen = np.arange(len(records)) if indices is None else indices

    def draw() -> Any:
        return _sample(records, int(torch.randint(len(records), ())), starts)

    found = [pipeline(_sample(records, int(index), starts), (cfg.SEED, 0, int(index)), draw) for index in chosen]
    boxes = [sample["boxes"].as_subclass(Tensor).float() for sample in found]
    # labels carry the numbers of the boxes in the data set, so that everything else can be looked up afterwards
    numbers = torch.cat([torch.zeros(0, dtype=torch.int64), *(sample["labels"] for sample in found)])
    counts = torch.tensor([len(each) for each in boxes], dtype=torch.int64)
    labels, areas = _columns(records, numbers.numpy(), starts)
    return TransformedBoxes(
        torch.cat([torch.zeros(0, 4), *boxes]),
        labels,
        torch.cat([torch.zeros(0, dtype=torch.bool), *(sample["ignore"] for sample in found)]),
        areas,
        torch.repeat_interleave(torch.arange(len(found)), counts),
        torch.tensor([sample["boxes"].canvas_size for sample in found], dtype=torch.int64).reshape(-1, 2),
        torch.from_numpy(chosen.astype(np.int64)),
        numbers,
    )


def _sample(records: RecordArray, index: int, starts: np.ndarray) -> Any:
    record = records[index]
    size, boxes = (record.height, record.width), torch.from_numpy(record.boxes)
    return {
        "boxes": BoundingBoxes(boxes, format=BoundingBoxFormat.XYXY, canvas_size=size),  # type: ignore[call-overload]
        "labels": torch.arange(int(starts[index]), int(starts[index + 1])),
        "ignore": torch.from_numpy(record.ignore),
    }


def _columns(records: RecordArray, numbers: np.ndarray, starts: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return labels and areas of boxes by their number; the records of other images are not read."""
    owners = np.searchsorted(starts, numbers, side="right") - 1
    read, place = np.unique(owners, return_inverse=True)
    ends = np.cumsum(records.num_boxes[read], dtype=np.int64)
    rows = numbers - starts[owners] + (ends - records.num_boxes[read])[place]
    labels, areas = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for index in read.tolist():
        record = records[index]
        labels.append(record.labels)
        areas.append(record.areas)
    return torch.from_numpy(np.concatenate(labels)[rows]), torch.from_numpy(np.concatenate(areas)[rows])


class _BoxesAlone:
    """A transform that is given boxes without their image, or with a black one if it asks for one.

    Boxes go in without their labels, too: v2 takes a plain tensor for an image where there is no other.
    """

    def __init__(self, transform: Transform) -> None:
        self.transform = transform
        self._wants_image = bool(getattr(transform, "num_extra_samples", 0))

    def __call__(self, sample: Any) -> Any:
        """Return the sample after the transform; pipelines call :meth:`apply_in`."""
        return self.apply_in(sample, Surroundings())

    def apply_in(self, sample: Any, surroundings: Surroundings) -> Any:
        """Return the sample after the transform."""
        if not self._wants_image:
            try:
                boxes = apply_one(self.transform, {"boxes": sample["boxes"]}, Surroundings(None, surroundings.position))[
                    "boxes"
                ]
            except DettoolkitError:
                raise
            except Exception:  # each transform has its own way to say that it misses the image, or other samples
                boxes = None
            if boxes is not None and len(boxes) == len(sample["boxes"]):
                return {**sample, "boxes": boxes}
            self._wants_image = True
        draw = surroundings.draw
        among_black = Surroundings(None if draw is None else lambda: _with_black(draw()), surroundings.position)
        done = dict(apply_one(self.transform, _with_black(sample), among_black))
        del done["image"]
        return done


def _with_black(sample: Any) -> Any:
    return {"image": Image(torch.zeros(3, *sample["boxes"].canvas_size, dtype=torch.uint8)), **sample}
