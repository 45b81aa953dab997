"""Batch: padded images with what belongs to them, as the loader hands them to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dettoolkit.structures.annotations import Annotations
from dettoolkit.structures.sample import Sample


@dataclass
class Batch:
    """Images padded to one size, and their samples.

    Args:
        images: ``[N, C, H, W]`` uint8 or float in 0..255, RGB; padding at the right and bottom.
        image_sizes: (height, width) of each image before padding.
        targets: the annotations of each image in the pixels of ``images``.
        samples: the samples without ``image``, ``boxes``, ``labels`` and ``ignore``: ids, names, original sizes, ways back.
    """

    images: Tensor
    image_sizes: list[tuple[int, int]]
    targets: list[Annotations]
    samples: list[Sample]

    def __len__(self) -> int:
        return len(self.images)

    @classmethod
    def collate(cls, samples: Sequence[Sample], divisibility: int = 1, pad_to: tuple[int, int] | None = None) -> Batch:
        """Pad samples to one size.

        Args:
            samples: N samples with ``image``, ``boxes``, ``labels`` and ``ignore``.
            divisibility: height and width of the batch become multiples of it.
            pad_to: (height, width) of each batch, for shapes that never change.

        Raises:
            ValueError: an image is larger than ``pad_to``.
        """
        sizes = [(int(sample["image"].shape[-2]), int(sample["image"].shape[-1])) for sample in samples]
        height, width = (max(size[axis] for size in sizes) for axis in (0, 1))
        if pad_to is not None:
            if height > pad_to[0] or width > pad_to[1]:
                raise ValueError(f"an image of {height} x {width} does not fit DATALOADER.PAD_TO {list(pad_to)}")
            height, width = pad_to
        height, width = (-(-side // divisibility) * divisibility for side in (height, width))
        first = samples[0]["image"]
        images = torch.zeros(len(samples), first.shape[0], height, width, dtype=first.dtype)
        for padded, sample, (h, w) in zip(images, samples, sizes, strict=True):
            padded[:, :h, :w] = sample["image"]
        targets = [Annotations(sample["boxes"].as_subclass(Tensor), sample["labels"], sample["ignore"]) for sample in samples]
        taken = ("image", "boxes", "labels", "ignore")
        rest = [Sample(**{key: value for key, value in sample.items() if key not in taken}) for sample in samples]  # type: ignore[typeddict-item]
        return cls(images, sizes, targets, rest)

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with images and targets on another device; copies from pinned memory overlap with computing."""
        targets = [target.to(device, non_blocking=True) for target in self.targets]
        return Batch(self.images.to(device, non_blocking=True), self.image_sizes, targets, self.samples)

    def record_stream(self, stream: torch.cuda.Stream) -> None:
        """Have the memory of images and targets kept until ``stream`` is done with it; see ``Tensor.record_stream``."""
        of_targets = [tensor for target in self.targets for tensor in (target.boxes, target.labels, target.ignore)]
        for tensor in [self.images, *of_targets]:
            tensor.record_stream(stream)

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory (the data loader calls it by this name)."""
        targets = [target.pin_memory() for target in self.targets]
        return Batch(self.images.pin_memory(), self.image_sizes, targets, self.samples)
