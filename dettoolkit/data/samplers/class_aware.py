"""ClassAwareSampler: all classes come equally often."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dettoolkit.data.records import RecordArray
from dettoolkit.data.samplers.repeats import drawn
from dettoolkit.data.samplers.training import TrainingSampler
from dettoolkit.errors import DataError
from dettoolkit.registry import SAMPLERS

logger = logging.getLogger(__name__)


@SAMPLERS.register()
class ClassAwareSampler(TrainingSampler):
    """Draws a class, then an image that shows it (Shen et al., "Relay Backpropagation", ECCV 2016).

    In an epoch, which has as many items as there are images, each class that the data set has is drawn equally often, up to
    one; its images are gone through before one comes again. Images without objects never come, and those of rare classes come
    often: look at how many images the rarest class has. Weights of ``DATASETS.MIX`` say how often an image comes among those of
    its class.

    Args:
        sizes: ``[len, 2]`` (height, width) of each image; wired.
        batch_size: images of a global batch, over all processes and micro-batches; wired.
        seed: of what is drawn, 0 or more; wired.
        records: the annotations of the images; boxes to be ignored do not count; wired.
        aspect_grouping: as of ``TrainingSampler``.
        image_weights: ``[len]`` of ``DATASETS.MIX``; None: all 1; wired.

    Raises:
        DataError: there are no images, or none has an object.
        ValueError: ``batch_size`` is below 1, or ``seed`` negative.
    """

    def __init__(
        self,
        sizes: NDArray[np.int32],
        batch_size: int,
        seed: int,
        records: RecordArray,
        aspect_grouping: bool = True,
        image_weights: NDArray[np.float64] | None = None,
    ) -> None:
        images, labels = records.classes_by_image()
        if len(images) == 0:
            raise DataError("ClassAwareSampler: no image has an object, so there is no class to draw")
        self._images = [images[labels == label] for label in np.unique(labels)]
        weights = np.ones(len(records)) if image_weights is None else image_weights
        self._weights = [weights[of_class] for of_class in self._images]
        expected = np.zeros(len(records))
        for of_class, weight in zip(self._images, self._weights, strict=True):
            expected[of_class] += len(records) / len(self._images) * weight / weight.sum()
        super().__init__(sizes, batch_size, seed, aspect_grouping=aspect_grouping, image_weights=expected)
        logger.info(
            "ClassAwareSampler: %d classes; an image comes up to %.2f times in an epoch of %d; %d images without objects never",
            *(len(self._images), expected.max(), self.images_per_epoch, int((expected == 0).sum())),
        )

    @property
    def images_per_epoch(self) -> int:
        """How many items an epoch has: as many as there are images."""
        return len(self._groups)

    @property
    def settings(self) -> dict[str, Any]:
        """All that the stream depends on, see ``TrainingSampler``."""
        return {**super().settings, "classes": len(self._images)}

    def _order(self, epoch: int) -> NDArray[np.int64]:
        random = np.random.default_rng([self.seed, epoch])
        # each class as often as the others, up to one: which have one more is drawn
        counts = np.bincount(drawn(np.ones(len(self._images)), self.images_per_epoch, random), minlength=len(self._images))
        items = [
            of_class[drawn(weights, count, random)]
            for of_class, weights, count in zip(self._images, self._weights, counts.tolist(), strict=True)
        ]
        return random.permutation(np.concatenate(items))

    def _passed(self, epoch: int) -> list[int]:
        """Return how many items of each group come before ``epoch``: drawn once more, as they differ between epochs."""
        passed = np.zeros(len(self._group_sizes), np.int64)
        for earlier in range(epoch if len(passed) > 1 else 0):
            passed += np.bincount(self._groups[self._order(earlier)], minlength=len(passed))
        return passed.tolist() if len(passed) > 1 else [epoch * self.images_per_epoch]
