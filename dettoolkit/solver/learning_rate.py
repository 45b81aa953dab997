"""The learning rate: its scale by the batch, its warm-up, and its course over the training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fvcore.common.param_scheduler import CompositeParamScheduler, LinearParamScheduler, ParamScheduler

from dettoolkit.errors import ConfigError
from dettoolkit.registry import SCHEDULES
from dettoolkit.structures import Duration

logger = logging.getLogger(__name__)


def scale_learning_rate(base_lr: float, batch_size: int, reference_batch_size: int | None) -> float:
    """Return the learning rate for ``batch_size``, by the linear rule (https://arxiv.org/abs/1706.02677), and log it.

    Args:
        base_lr: learning rate at the reference.
        batch_size: images per optimizer step, over all processes and accumulated parts.
        reference_batch_size: the batch that ``base_lr`` is meant for; None: ``base_lr`` is taken as it is.

    Raises:
        ConfigError: a number that is not positive.
    """
    if base_lr <= 0 or batch_size < 1 or (reference_batch_size is not None and reference_batch_size < 1):
        raise ConfigError(
            "SOLVER.BASE_LR, BATCH_SIZE and REFERENCE_BATCH_SIZE: expected positive numbers, "
            f"got {base_lr}, {batch_size} and {reference_batch_size}"
        )
    if reference_batch_size is None or reference_batch_size == batch_size:
        return base_lr
    scaled = base_lr * batch_size / reference_batch_size
    logger.info("learning rate %g -> %g (batch %d, reference %d)", base_lr, scaled, batch_size, reference_batch_size)
    return scaled


class LearningRateSchedule:
    """A schedule with a linear warm-up in front, asked by iteration.

    As in Detectron2, the schedule is evaluated at ``iteration / num_iterations``, and the warm-up ends on its value.

    Args:
        scheduler: share of the training that is done, in [0, 1) -> share of the learning rate.
        num_iterations: length of the training.
        warmup_iterations: length of the warm-up; 0: none.
        warmup_factor: share of the schedule's first value at iteration 0.

    Raises:
        ConfigError: a warm-up as long as the training, or a factor that is no share.
    """

    def __init__(
        self, scheduler: ParamScheduler, num_iterations: int, warmup_iterations: int = 0, warmup_factor: float = 0.001
    ) -> None:
        if num_iterations < 1:
            raise ConfigError(f"SOLVER.LENGTH: expected at least one iteration, got {num_iterations}")
        if warmup_iterations >= num_iterations:
            raise ConfigError(
                f"SOLVER.WARMUP.LENGTH: the warm-up of {warmup_iterations} iterations does not end within the training "
                f"of {num_iterations}. Expected a shorter one, or auto."
            )
        if not 0 <= warmup_factor <= 1:
            raise ConfigError(f"SOLVER.WARMUP.FACTOR: expected a share from 0 to 1, got {warmup_factor}")
        self.num_iterations = num_iterations
        self.warmup_iterations = warmup_iterations
        self._scheduler = scheduler
        if warmup_iterations:
            share = warmup_iterations / num_iterations
            warmup = LinearParamScheduler(warmup_factor * scheduler(0.0), scheduler(share))
            self._scheduler = CompositeParamScheduler([warmup, scheduler], [share, 1 - share], ["rescaled", "fixed"])

    def multiplier(self, iteration: int) -> float:
        """Return the share of the learning rate for ``iteration``, counted from 0.

        Raises:
            ValueError: the training has no such iteration.
        """
        if not 0 <= iteration < self.num_iterations:
            raise ValueError(f"expected an iteration from 0 to {self.num_iterations - 1}, got {iteration}")
        return float(self._scheduler(iteration / self.num_iterations))


def warmup_length(length: str | int, num_iterations: int, iterations_per_epoch: int) -> int:
    """Return a warm-up in iterations; ``"auto"`` is 1000, at most a tenth of the training.

    Raises:
        ConfigError: the length is neither auto nor a duration.
    """
    if length == "auto":
        return min(1000, num_iterations // 10)
    try:
        return Duration.parse(length).iterations(iterations_per_epoch)
    except ConfigError as error:
        raise ConfigError(f"SOLVER.WARMUP.LENGTH: {error}, or auto") from None


def build_schedule(solver: Mapping[str, Any], num_iterations: int, iterations_per_epoch: int) -> LearningRateSchedule:
    """Return the learning rate's course from the config.

    Args:
        solver: the node ``SOLVER`` with ``SCHEDULE`` and ``WARMUP``.
        num_iterations: length of the training.
        iterations_per_epoch: optimizer steps of an epoch.

    Raises:
        ConfigError: milestones or a warm-up that do not fit into the training.
    """
    scheduler = SCHEDULES.build(
        solver["SCHEDULE"], "SOLVER.SCHEDULE", num_iterations=num_iterations, iterations_per_epoch=iterations_per_epoch
    )
    warmup = warmup_length(solver["WARMUP"]["LENGTH"], num_iterations, iterations_per_epoch)
    return LearningRateSchedule(scheduler, num_iterations, warmup, solver["WARMUP"]["FACTOR"])
