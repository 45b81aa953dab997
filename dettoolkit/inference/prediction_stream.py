"""From a stream of images to a stream of predictions: looks at each image, gathered into batches, and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from torch import Tensor

from dettoolkit.data.image_form import ImageForm, as_shown
from dettoolkit.data.transforms import InferencePipeline
from dettoolkit.data.views import Views
from dettoolkit.errors import DataError
from dettoolkit.inference.image_input import ImageInput, as_pixels, as_sample
from dettoolkit.inference.merging import ViewMerger
from dettoolkit.structures import Batch, Detections, Sample


class Detect(Protocol):
    """The network at work on a batch."""

    def __call__(self, batch: Batch, num_empty: int) -> list[Detections]:
        """Return what is found in each image, in the pixels of the batch; ``num_empty`` images fill it up."""


@dataclass(frozen=True)
class Prediction:
    """What was found in one image of a stream.

    Args:
        index: of the image in the stream, from 0.
        image: ``[3, H, W]`` uint8 RGB, as people see it; of other channels the first three, or one.
        detections: in the pixels of ``image``, on the CPU.
    """

    index: int
    image: Tensor
    detections: Detections


@dataclass(frozen=True)
class PredictionStream:
    """What happens around the network.

    Args:
        pipeline: prepares an image that is looked at once.
        views: how an image is looked at several times; None: once.
        merger: makes one list of what the views of an image show; None where there are no views.
        form: of the images that the network takes.
        divisibility: height and width of a batch become multiples of it.
        fill_up: whether a last batch that is smaller than the ones before it is filled up with empty images.
    """

    pipeline: InferencePipeline
    views: Views | None
    merger: ViewMerger | None
    form: ImageForm
    divisibility: int
    fill_up: bool

    def __call__(
        self,
        images: Iterable[ImageInput],
        batch_size: int,
        on_bad: Callable[[int, DataError], object] | None,
        detect: Detect,
    ) -> Iterator[Prediction]:
        """Yield what is found in each image, in order.

        Args:
            images: taken one by one.
            batch_size: looks that go through the network together.
            on_bad: called with index and error of an image that cannot be read; None: the error is raised.
            detect: (batch, number of empty images to add) -> what is found in each image of the batch, in its pixels.

        Raises:
            DataError: an image cannot be read, or is none of the accepted kinds.
        """
        waiting: list[Sample] = []
        shown: dict[int, Tensor] = {}
        merger = None if self.merger is None else self.merger.fresh()  # each stream has views of its own to wait for
        full = 0  # images of a batch to fill up to, once there was a full one
        for index, image in enumerate(images):
            try:
                pixels = as_pixels(image, f"image {index}", self.form)
            except DataError as error:
                if on_bad is None:
                    raise
                on_bad(index, error)
                continue
            shown[index] = as_shown(pixels)
            for look in self._looks(pixels):
                waiting.append(Sample(**{**look, "image_id": index}))  # type: ignore[typeddict-item]
                if len(waiting) == batch_size:
                    yield from self._predictions(waiting, shown, merger, partial(detect, num_empty=0))
                    waiting, full = [], batch_size
        if waiting:
            num_empty = max(0, full - len(waiting)) if self.fill_up else 0
            yield from self._predictions(waiting, shown, merger, partial(detect, num_empty=num_empty))

    def _looks(self, pixels: Tensor) -> Iterator[Sample]:
        sample = as_sample(pixels)
        if self.views is None:
            yield self.pipeline(sample)
            return
        for index in range(len(self.views.of(sample["original_size"]))):
            yield self.views.sample(sample, index)

    def _predictions(
        self,
        looks: list[Sample],
        shown: dict[int, Tensor],
        merger: ViewMerger | None,
        detect: Callable[[Batch], list[Detections]],
    ) -> Iterator[Prediction]:
        """Yield the images that are complete with these looks, and take them out of ``shown``."""
        batch = Batch.collate(looks, self.divisibility)
        samples, by_look = batch.samples, detect(batch)
        found = [
            sample["way_back"].detections(each.to("cpu"), sample["original_size"])
            for sample, each in zip(samples, by_look, strict=True)
        ]
        if merger is not None:
            samples, found = merger.completed(samples, found)
        for sample, detections in zip(samples, found, strict=True):
            index = int(sample["image_id"])
            yield Prediction(index, shown.pop(index), detections)
