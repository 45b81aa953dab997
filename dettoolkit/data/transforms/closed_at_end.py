"""ClosedAtEnd: strong transforms that the end of the training goes without."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from dettoolkit.data.transforms.composed import PARTS
from dettoolkit.data.transforms.surroundings import Surroundings, TrainingLength, apply_all
from dettoolkit.registry import TRANSFORMS
from dettoolkit.structures import Duration

logger = logging.getLogger(__name__)


@TRANSFORMS.register()
class ClosedAtEnd:
    """Applies transforms one after another, except to the samples of the last epochs, which stay as they are.

    Mosaic, mix-up and copy-paste show scenes that do not exist; a detector that ends on real ones finds more (YOLOX,
    arXiv:2107.08430, does so for 15 epochs). A sample's place in the stream decides, not the time at which a worker
    prepares it, so that workers may run ahead and a resumed training closes at the same step.

    Args:
        transforms: a list of transforms.
        last: how long the end is: epochs ("10ep") or iterations ("5000it").
        training_length: of the whole training (wired).

    Raises:
        ValueError: ``last`` is no duration, or nobody says how long the training is.
    """

    PARTS = PARTS

    def __init__(
        self,
        transforms: Sequence[Callable[..., Any]],
        last: str | int = "10ep",
        training_length: TrainingLength | None = None,
    ) -> None:
        if training_length is None:
            raise ValueError("only a training has a last epoch; use it in DATASETS.TRAIN_TRANSFORMS")
        duration = Duration.parse(last)
        self.transforms = list(transforms)
        self.closed_from = training_length.begin_of_last(duration)
        if self.closed_from == 0:
            names = ", ".join(type(transform).__name__ for transform in self.transforms)
            logger.warning(
                "%s: never applied, since the training of %d iterations is no longer than ClosedAtEnd.LAST (%s)",
                names,
                training_length.num_iterations,
                duration,
            )

    def __call__(self, sample: Any) -> Any:
        """Return the sample as it is at the begin of the stream; pipelines call :meth:`apply_in`."""
        return self.apply_in(sample, Surroundings())

    def apply_in(self, sample: Any, surroundings: Surroundings) -> Any:
        """Return the sample after all transforms, or as it is from ``closed_from`` on."""
        if surroundings.position >= self.closed_from:
            return sample
        return apply_all(self.transforms, sample, surroundings)
