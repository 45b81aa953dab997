"""Overfitting one batch: what cannot be learned by heart will not be learned at all."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fvcore.common.config import CfgNode

from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.rehearsal.rehearsing import rehearsing
from dettoolkit.engine.trainer import Trainer
from dettoolkit.structures import Batch

_BATCHES = 20  # looked through for one with objects
_LAST = 5  # steps whose mean is the loss at the end
ENOUGH = 0.5  # the share of the first loss that must be reached


@dataclass(frozen=True)
class Overfit:
    """What became of the loss of one batch.

    Args:
        losses: of each step; the last one may not be finite.
        num_objects: in the batch, crowd regions left out.
        num_images: in the batch.
        positives: positive anchors of the batch, or None where the model does not count them.
    """

    losses: tuple[float, ...]
    num_objects: int
    num_images: int
    positives: float | None

    @property
    def share_left(self) -> float:
        """The mean of the last losses, as a share of the first one; infinite where a loss was not finite."""
        last = self.losses[-_LAST:]
        value = sum(last) / len(last) / self.losses[0] if self.losses and self.losses[0] else math.inf
        return value if math.isfinite(value) else math.inf

    @property
    def is_learned(self) -> bool:
        """Whether the loss fell as it must."""
        return self.share_left <= ENOUGH


def overfit_one_batch(cfg: CfgNode, steps: int = 100, offline: bool = False) -> Overfit:
    """Train a throw-away model on one batch, prepared as for a test, at the full learning rate.

    Args:
        cfg: of one process.
        steps: how many.
        offline: never use the network.
    """
    cfg = cfg.clone()
    cfg.defrost()
    cfg.DATASETS.TRAIN_TRANSFORMS = cfg.DATASETS.TEST_TRANSFORMS
    cfg.DATALOADER.NUM_WORKERS, cfg.DATALOADER.PAD_TO = 0, None  # test images have sizes of their own
    with rehearsing(cfg, offline, quiet=True) as (trainer, _):
        batch = _with_objects(iter(trainer.batches))
        noted = _NotedLosses()
        trainer.batches, trainer.accumulate = itertools.repeat(batch), 1
        trainer.hooks, trainer.num_iterations = [noted], steps
        trainer.train()
    num_objects = sum(int((~target.ignore).sum()) for target in batch.targets)
    return Overfit(tuple(noted.losses), num_objects, len(batch.targets), noted.positives)


def _with_objects(batches: Iterator[Any]) -> Batch:
    """Return the first batch with objects, or the first one where there is none among the first."""
    found = list(itertools.islice(batches, 1))
    for batch in itertools.chain(found, itertools.islice(batches, _BATCHES - 1)):
        if any(bool((~target.ignore).any()) for target in batch.targets):
            return batch
    return found[0]


class _NotedLosses(Hook):
    """Notes the loss of each step, and ends the training where it is not finite."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.positives: float | None = None

    def is_due(self, trainer: Trainer) -> bool:
        del trainer
        return True

    def after_step(self, trainer: Trainer) -> None:
        self.losses.append(float(trainer.latest_metrics["loss"]))
        if "num_positives" in trainer.latest_metrics:
            self.positives = float(trainer.latest_metrics["num_positives"])
        if not math.isfinite(self.losses[-1]):
            trainer.request_stop("the loss is not finite")
