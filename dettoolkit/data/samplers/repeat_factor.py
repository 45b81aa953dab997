"""RepeatFactorSampler: images of rare classes come more often."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt, Le
from numpy.typing import NDArray

from dettoolkit.data.records import RecordArray
from dettoolkit.data.samplers.training import TrainingSampler
from dettoolkit.registry import SAMPLERS

logger = logging.getLogger(__name__)


@SAMPLERS.register()
class RepeatFactorSampler(TrainingSampler):
    """Repeats the images of rare classes (Gupta et al., "LVIS", CVPR 2019, section 5).

    With f(c) the share of images that show class c, its repeat factor is r(c) = max(1, sqrt(t / f(c))), and an image comes as
    often in an epoch as the largest factor of its classes says; one without objects comes once. Fractions are drawn anew in
    each epoch, so that a factor of 2.3 is 2.3 on average, as in Detectron2; unlike there all epochs are of one length, the sum
    of the factors. Weights of ``DATASETS.MIX`` multiply the factors.

    Args:
        sizes: ``[len, 2]`` (height, width) of each image; wired.
        batch_size: images of a global batch, over all processes and micro-batches; wired.
        seed: of the shuffling, 0 or more; wired.
        records: the annotations of the images; boxes to be ignored do not count; wired.
        threshold: t, a share of the images: classes in fewer of them are repeated. 0.001 is for LVIS; with few images or
            classes it has to be larger, since t must be above some f(c) to change anything.
        aspect_grouping: as of ``TrainingSampler``.
        image_weights: ``[len]`` factors of ``DATASETS.MIX``; None: all 1; wired.

    Raises:
        DataError: there are no images.
        ValueError: ``batch_size`` is below 1, or ``seed`` negative.
    """

    def __init__(
        self,
        sizes: NDArray[np.int32],
        batch_size: int,
        seed: int,
        records: RecordArray,
        threshold: Annotated[float, Gt(0), Le(1)] = 0.001,
        aspect_grouping: bool = True,
        image_weights: NDArray[np.float64] | None = None,
    ) -> None:
        self.threshold = threshold
        factors = repeat_factors(records, threshold)
        weights = factors if image_weights is None else factors * image_weights
        super().__init__(sizes, batch_size, seed, aspect_grouping=aspect_grouping, image_weights=weights)
        repeated = int((factors > 1).sum())
        if repeated == 0:
            logger.warning(
                "RepeatFactorSampler: no class is in fewer than %g of the images: nothing is repeated. "
                "Raise DATALOADER.SAMPLER.THRESHOLD",
                threshold,
            )
        logger.info(
            "RepeatFactorSampler: %d of %d images come more than once, up to %.2f times; an epoch has %d",
            *(repeated, len(records), factors.max(), self.images_per_epoch),
        )

    @property
    def settings(self) -> dict[str, Any]:
        """All that the stream depends on, see ``TrainingSampler``."""
        return {**super().settings, "threshold": self.threshold}


def repeat_factors(records: RecordArray, threshold: float) -> NDArray[np.float64]:
    """Return ``[len]``, how often each image is to come: the largest max(1, sqrt(threshold / f(c))) of its classes, else 1."""
    images, labels = records.classes_by_image()
    factors = np.ones(len(records))
    if len(images):
        of_class = np.maximum(1.0, np.sqrt(threshold * len(records) / np.maximum(np.bincount(labels), 1)))
        np.maximum.at(factors, images, of_class[labels])
    return factors
