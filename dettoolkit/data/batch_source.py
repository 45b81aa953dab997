"""BatchSource: what a worker does, from stream items to a batch, and how the batch travels to the process that trains."""

from __future__ import annotations

import io
import pickle
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from dettoolkit.config.plugins import import_plugins
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.samplers import StreamItem
from dettoolkit.data.transforms import InferencePipeline, Pipeline
from dettoolkit.data.views import Views
from dettoolkit.errors import DataError, DettoolkitError, listed
from dettoolkit.structures import Batch, Sample


@dataclass(frozen=True)
class Padding:
    """How large the images of a batch become.

    Args:
        divisibility: height and width become multiples of it.
        pad_to: (height, width) of every batch, or None for as small as the batch allows.
    """

    divisibility: int = 1
    pad_to: tuple[int, int] | None = None


@dataclass
class Plugins:
    """Files whose classes a data set or transform may be made of; unpickling this object imports them."""

    paths: Sequence[str] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return _import, (tuple(self.paths),)


def _import(paths: tuple[str, ...]) -> Plugins:
    import_plugins(paths)
    return Plugins(paths)


@dataclass
class Parcel:
    """A batch on its way between processes: the images in shared memory, everything else in one string of bytes.

    Each tensor in shared memory holds a file open; with one for every box tensor, a few workers reach the limit of open files.
    """

    images: Tensor
    rest: bytes

    @classmethod
    def pack(cls, batch: Batch) -> Parcel:
        """Return the parcel that :meth:`unpack` makes the same batch of."""
        buffer = io.BytesIO()
        _ByValue(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump((batch.image_sizes, batch.targets, batch.samples))
        return cls(batch.images, buffer.getvalue())

    def unpack(self) -> Batch:
        """Return the batch."""
        return Batch(self.images, *pickle.loads(self.rest))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory (the data loader calls it by this name)."""
        return self.unpack().pin_memory()


class _ByValue(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        return (torch.from_numpy, (obj.numpy(),)) if type(obj) is Tensor else NotImplemented


@dataclass
class Failure:
    """An error on its way between processes, without the words that the data loader would add to those for the user."""

    error: Exception


class BatchSource(Dataset[Any]):
    """Turns lists of stream items into batches.

    Args:
        dataset: where the images come from.
        pipeline: what happens to each of them; with views, an item says which.
        padding: what happens to all of them together.
        seed: of the transforms, with epoch and position.
        plugins: files to import before any of the above can be unpickled in a worker.
    """

    def __init__(
        self,
        dataset: DetectionDataset,
        pipeline: Pipeline | InferencePipeline | Views,
        padding: Padding,
        seed: int = 0,
        plugins: Plugins | None = None,
    ) -> None:
        self.plugins = plugins or Plugins()
        self.dataset = dataset
        self.pipeline = pipeline
        self.padding = padding
        self.seed = seed
        self._ends: Tensor | None = None  # [len] float64, where each image's share of the weights ends
        self._decoded: tuple[int, Sample] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # the plugins come last for callers and first here: arguments are unpickled in their order
        return _restore, (self.plugins, self.dataset, self.pipeline, self.padding, self.seed)

    def __getitem__(self, items: Sequence[StreamItem]) -> Batch | Parcel | Failure:
        """Return the batch of these items; a worker returns it packed, and returns errors as well."""
        if get_worker_info() is None:
            return self._batch(items)
        try:
            return Parcel.pack(self._batch(items))
        except DettoolkitError as error:
            return Failure(error)
        except Exception as error:  # a traceback is lost between processes, its words are not
            return Failure(RuntimeError(f"{error}\n\nIn a worker of the data loader:\n{traceback.format_exc()}"))

    def _batch(self, items: Sequence[StreamItem]) -> Batch:
        samples = [self._sample(item) for item in items]
        try:
            return Batch.collate(samples, self.padding.divisibility, self.padding.pad_to)
        except ValueError as error:
            raise DataError(f"{error}; the images are {listed(sample['file_name'] for sample in samples)}") from None

    def _sample(self, item: StreamItem) -> Sample:
        try:
            if isinstance(self.pipeline, Views):
                return self.pipeline.sample(self._kept(item.index), item.view)
            seed = (self.seed, item.epoch, item.position)
            return self.pipeline(self.dataset[item.index], seed, self._draw, item.position)
        except DettoolkitError:
            raise
        except Exception as error:
            name = self.dataset.records[item.index].file_name
            raise RuntimeError(f"{name}: {type(error).__name__}: {error}") from error

    def _kept(self, index: int) -> Sample:
        """Return a sample as it is, decoded once for views that follow each other."""
        if self._decoded is None or self._decoded[0] != index:
            self._decoded = index, self.dataset[index]
        return self._decoded[1]

    def _draw(self) -> Sample:
        """Return a sample, drawn from the random numbers of the one being prepared, so that any worker draws the same."""
        index = self._drawn_index()
        try:
            return self.dataset[index]
        except DettoolkitError:
            raise
        except Exception as error:
            name = self.dataset.records[index].file_name
            raise RuntimeError(f"{name}, drawn to be mixed in: {type(error).__name__}: {error}") from error

    def _drawn_index(self) -> int:
        """Return a random index; each image has the chance that it has in the stream (``DATASETS.MIX``)."""
        weights = self.dataset.image_weights
        if weights is None:
            return int(torch.randint(len(self.dataset), ()))
        if self._ends is None:
            self._ends = torch.from_numpy(weights.cumsum())
        drawn = torch.rand((), dtype=torch.float64) * self._ends[-1]
        return min(int(torch.searchsorted(self._ends, drawn, right=True)), len(self.dataset) - 1)


def _restore(plugins: Plugins, dataset: Any, pipeline: Any, padding: Padding, seed: int) -> BatchSource:
    return BatchSource(dataset, pipeline, padding, seed, plugins)
