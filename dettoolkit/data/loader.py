"""Loaders: batches for training without end, and batches for inference, each image once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dettoolkit.data.batch_source import BatchSource, Padding, Plugins
from dettoolkit.data.datasets.dataset import DetectionDataset
from dettoolkit.data.image_form import check_transforms
from dettoolkit.data.samplers import InferenceSampler, StreamItem, TrainingSampler
from dettoolkit.data.transforms import InferencePipeline, Pipeline, TrainingLength, build_transforms
from dettoolkit.data.views import Views
from dettoolkit.data.workers import Workers, shut_down, unpacked
from dettoolkit.errors import CheckpointError, ConfigError
from dettoolkit.registry import SAMPLERS
from dettoolkit.registry.signature import parameters
from dettoolkit.structures import Batch, Duration


class TrainLoader:
    """This process's share of the global batches, without end.

    Iterating once more goes on after the last global batch that was taken completely.

    Args:
        source: makes batches.
        sampler: forms global batches.
        accumulate: micro-batches of a global batch; each is one ``Batch``.
        rank: which process takes items ``rank::world_size`` of each micro-batch.
        world_size: how many processes.
        workers: who prepares batches.

    Raises:
        ConfigError: a global batch cannot be divided evenly.
    """

    def __init__(
        self,
        source: BatchSource,
        sampler: TrainingSampler,
        accumulate: int = 1,
        rank: int = 0,
        world_size: int = 1,
        workers: Workers | None = None,
    ) -> None:
        if accumulate < 1 or sampler.batch_size % (accumulate * world_size):
            raise ConfigError(
                f"SOLVER.BATCH_SIZE: {sampler.batch_size} images cannot be divided evenly into {accumulate} accumulated "
                f"micro-batch(es) for {world_size} process(es) each; expected a multiple of {accumulate * world_size}."
            )
        self.source = source
        self.sampler = sampler
        self.accumulate = accumulate
        self.rank = rank
        self.world_size = world_size
        self.workers = workers or Workers()
        self._taken = 0  # micro-batches

    @property
    def batches_per_epoch(self) -> int:
        """Global batches of an epoch."""
        return self.sampler.batches_per_epoch

    @property
    def batches_taken(self) -> int:
        """How many global batches have been taken completely since the start of the stream."""
        return self._taken // self.accumulate

    def __iter__(self) -> Iterator[Batch]:
        start = self.batches_taken
        self._taken = start * self.accumulate
        loader = self.workers.loader(self.source, self._shares(start))
        try:
            for batch in unpacked(loader):
                self._taken += 1
                yield batch
        finally:
            shut_down(loader)

    def _shares(self, start: int) -> Iterator[list[StreamItem]]:
        size = self.sampler.batch_size // self.accumulate
        for batch in self.sampler.batches(start):
            for first in range(0, len(batch), size):
                yield batch[first : first + size][self.rank :: self.world_size]

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the stream as plain data; it does not depend on ranks, workers or what they fetched ahead."""
        return {"batches_taken": self.batches_taken, "stream": dict(self.sampler.settings)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after the batches that were taken when ``state`` was saved.

        Raises:
            CheckpointError: the stream was another one, so that its place means nothing here.
        """
        now = self.sampler.settings
        changed = [
            f"{key} was {state['stream'].get(key)} and is {now.get(key)}"
            for key in sorted(now.keys() | state["stream"].keys())
            if state["stream"].get(key) != now.get(key)
        ]
        if changed:
            raise CheckpointError(
                f"the stream of training images cannot be continued: {', '.join(changed)}. "
                "Resume with the settings of the run, or start a new run from its weights."
            )
        self._taken = int(state["batches_taken"]) * self.accumulate


class InferenceLoader:
    """This process's images, each once, as often as it is iterated; workers stay for the next time.

    Args:
        source: makes batches.
        sampler: this process's batches.
        workers: who prepares batches.
    """

    def __init__(self, source: BatchSource, sampler: InferenceSampler, workers: Workers | None = None) -> None:
        self.dataset = source.dataset
        self.sampler = sampler
        self._loader = (workers or Workers()).loader(source, sampler)

    def __len__(self) -> int:
        """Batches of this process."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        return unpacked(self._loader)

    def close(self) -> None:
        """End the workers; iterating again starts new ones."""
        shut_down(self._loader)


def _padding(divisibility: int, pad_to: Sequence[int] | int | None) -> Padding:
    if pad_to is None:
        return Padding(divisibility)
    if isinstance(pad_to, int) and pad_to >= 1:
        return Padding(-(-pad_to // divisibility) * divisibility)
    if isinstance(pad_to, int) or len(pad_to) != 2 or min(pad_to) < 1:
        raise ConfigError(f"DATALOADER.PAD_TO: expected [height, width], a number of at least 1 or null, got {pad_to}.")
    return Padding(divisibility, (pad_to[0], pad_to[1]))


def _training_length(length: str | int, iterations_per_epoch: int, batch_size: int) -> TrainingLength:
    return TrainingLength(Duration.parse(length).iterations(iterations_per_epoch), iterations_per_epoch, batch_size)


def _check_takes_weights(node: Mapping[str, Any], dataset: DetectionDataset) -> None:
    name = str(node.get("NAME"))
    if dataset.image_weights is not None and name in SAMPLERS and "IMAGE_WEIGHTS" not in parameters(SAMPLERS.get(name)):
        raise ConfigError(
            f"DATALOADER.SAMPLER: {name} takes no image_weights, and DATASETS.MIX gives sets weights, which would have no "
            "effect. Take the weights out, or another sampler: TrainingSampler and RepeatFactorSampler take them."
        )


def build_train_loader(
    dataset: DetectionDataset,
    transform_nodes: Sequence[Mapping[str, Any]],
    *,
    global_batch_size: int,
    seed: int,
    accumulate: int = 1,
    sampler_node: Mapping[str, Any] | None = None,
    pad_to: Sequence[int] | int | None = None,
    divisibility: int = 1,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
    pin_memory: bool = False,
    start_method: str | None = None,
    plugins: Sequence[str] = (),
    length: str | int | None = None,
) -> TrainLoader:
    """Build the loader of training batches; each random choice depends on ``seed`` and the place in the stream alone.

    Args:
        dataset: its ``records.sizes`` tell wide images from others, its ``image_weights`` how often each comes.
        transform_nodes: config nodes (``DATASETS.TRAIN_TRANSFORMS``).
        global_batch_size: images of an optimizer step, over all processes and micro-batches.
        seed: 0 or more.
        accumulate: micro-batches of an optimizer step.
        sampler_node: config node (``DATALOADER.SAMPLER``); :class:`TrainingSampler` when left out.
        pad_to: (height, width) of every batch, or a number whose multiples both become; None: as small as the batch allows.
        divisibility: height and width of a batch become multiples of it, too.
        rank: of this process.
        world_size: number of processes.
        num_workers: processes that prepare batches for this one; 0: it does so itself.
        pin_memory: whether batches come in page-locked memory.
        start_method: of the workers: ``fork``, ``spawn`` or ``forkserver``; None: the platform's own.
        plugins: paths of the files that ``PLUGINS`` names; workers import them.
        length: of the training (``SOLVER.LENGTH``), for transforms that close before its end; None: those are refused.

    Raises:
        ConfigError: a transform or the sampler cannot be built, or the batch cannot be divided evenly.
    """
    node = sampler_node or {"NAME": "TrainingSampler"}
    _check_takes_weights(node, dataset)
    check_transforms(dataset.form, transform_nodes, "DATASETS.TRAIN_TRANSFORMS")
    built = SAMPLERS.build(
        node,
        "DATALOADER.SAMPLER",
        sizes=dataset.records.sizes,
        batch_size=global_batch_size,
        seed=seed,
        records=dataset.records,
        image_weights=dataset.image_weights,
    )
    training_length = None if length is None else _training_length(length, built.batches_per_epoch, global_batch_size)
    pipeline = Pipeline(build_transforms(transform_nodes, "DATASETS.TRAIN_TRANSFORMS", training_length))
    source = BatchSource(dataset, pipeline, _padding(divisibility, pad_to), seed, Plugins(plugins))
    return TrainLoader(source, built, accumulate, rank, world_size, Workers(num_workers, pin_memory, start_method))


def build_test_loader(
    dataset: DetectionDataset,
    transform_nodes: Sequence[Mapping[str, Any]],
    *,
    batch_size: int,
    views: Views | None = None,
    pad_to: Sequence[int] | int | None = None,
    divisibility: int = 1,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
    pin_memory: bool = False,
    start_method: str | None = None,
    plugins: Sequence[str] = (),
) -> InferenceLoader:
    """Build the loader of this process's part of a data set, whose samples know the way back to their original pixels.

    Args:
        dataset: all of it; each process takes a run of neighbouring images, as ``distributed.shard_indices`` says.
        transform_nodes: config nodes (``DATASETS.TEST_TRANSFORMS``): resizing, padding, flipping.
        batch_size: images of a batch of one process, or views of them; the last one may be smaller.
        views: several looks at each image, made with the same transforms; each is one of a batch, an image's follow each other.
        pad_to: as for training.
        divisibility: as for training.
        rank: of this process.
        world_size: number of processes.
        num_workers: as for training.
        pin_memory: as for training.
        start_method: as for training.
        plugins: as for training.

    Raises:
        ConfigError: a transform cannot be built, is random, or cannot be undone.
    """
    pipeline: InferencePipeline | Views = InferencePipeline(transform_nodes)
    num_views = None
    if views is not None:
        pipeline, num_views = views, [len(views.of((height, width))) for height, width in dataset.records.sizes.tolist()]
    source = BatchSource(dataset, pipeline, _padding(divisibility, pad_to), plugins=Plugins(plugins))
    sampler = InferenceSampler(len(dataset), batch_size, rank, world_size, num_views)
    return InferenceLoader(source, sampler, Workers(num_workers, pin_memory, start_method))
