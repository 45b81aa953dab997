"""A part of a test set that an evaluation takes for the whole, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterator

from dettoolkit.data.loader import InferenceLoader
from dettoolkit.structures import Batch


class FirstBatches:
    """The first batches of a loader, and as many more as one whole image takes; ``seen`` and ``seconds`` tell of all passes.

    Args:
        loader: of a test set; its batches may be of several views of an image.
        count: batches.
    """

    def __init__(self, loader: InferenceLoader, count: int) -> None:
        self.dataset, self._loader, self._count = loader.dataset, loader, count
        self.seen, self.seconds = 0.0, 0.0  # images, of which parts are seen too, and the time that was spent on them

    def __iter__(self) -> Iterator[Batch]:
        start, seen = time.perf_counter(), 0.0
        for number, batch in enumerate(self._loader, start=1):
            yield batch
            seen += sum(1 / sample.get("num_views", 1) for sample in batch.samples)
            if number >= self._count and seen > 0.999:  # views of an image follow each other: one image is whole
                break
        self.seen += seen
        self.seconds += time.perf_counter() - start

    def close(self) -> None:
        """End the workers."""
        self._loader.close()
