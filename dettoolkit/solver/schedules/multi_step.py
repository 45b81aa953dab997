"""The learning rate falls at given points."""

from __future__ import annotations

import math
from itertools import pairwise

from fvcore.common.param_scheduler import MultiStepParamScheduler

from dettoolkit.errors import ConfigError
from dettoolkit.registry import SCHEDULES
from dettoolkit.structures import Duration


@SCHEDULES.register()
class MultiStep(MultiStepParamScheduler):
    """The learning rate is multiplied by ``gamma`` at each milestone.

    The default milestones, 2/3 and 8/9, are Detectron2's 60k and 80k of 90k iterations.

    Args:
        num_iterations: length of the training.
        iterations_per_epoch: optimizer steps of an epoch.
        milestones: ascending; each iterations (``60000``), epochs (``"8ep"``) or a fraction of the training (``0.75``).
        gamma: factor at each milestone.

    Raises:
        ConfigError: a milestone that is not within the training, or milestones that do not ascend.
    """

    def __init__(
        self,
        num_iterations: int,
        iterations_per_epoch: int,
        milestones: tuple[int | float | str, ...] = (2 / 3, 8 / 9),
        gamma: float = 0.1,
    ) -> None:
        if gamma <= 0:
            raise ConfigError(f"GAMMA: expected a positive factor, got {gamma}")
        points = [_point(milestone, num_iterations, iterations_per_epoch) for milestone in milestones]
        if any(later <= earlier for earlier, later in pairwise(points)):
            raise ConfigError(f"MILESTONES: expected ascending ones, got {list(milestones)} = iterations {points}")
        # a fraction of a very short training may lie behind its last iteration: such a fall is never reached
        reached = [point for point in points if math.ceil(point) < num_iterations]
        values = [gamma**index for index in range(len(reached) + 1)]
        super().__init__(values, num_updates=num_iterations, milestones=reached)


def _point(milestone: int | float | str, num_iterations: int, iterations_per_epoch: int) -> float:
    """Return the iteration at which the learning rate falls; between two iterations for a fraction that is not whole."""
    if isinstance(milestone, float):
        if not 0 < milestone < 1:
            raise ConfigError(f"MILESTONES: expected a fraction between 0 and 1, iterations or epochs, got {milestone}")
        return round(milestone * num_iterations, 3)
    iterations = Duration.parse(milestone).iterations(iterations_per_epoch)
    if not 0 < iterations < num_iterations:
        raise ConfigError(
            f"MILESTONES: {milestone} is iteration {iterations}, and the training has {num_iterations} iterations "
            f"({iterations_per_epoch} an epoch). Expected milestones within it; fractions such as 0.75 fit any length."
        )
    return iterations
