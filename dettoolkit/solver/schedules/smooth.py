"""The learning rate changes by a little in each iteration, or not at all."""

from __future__ import annotations

from fvcore.common.param_scheduler import ConstantParamScheduler, CosineParamScheduler, LinearParamScheduler

from dettoolkit.errors import ConfigError
from dettoolkit.registry import SCHEDULES


@SCHEDULES.register()
class Cosine(CosineParamScheduler):
    """The learning rate falls along half a cosine over the whole training.

    Args:
        end_factor: share of the learning rate at the end.
    """

    def __init__(self, end_factor: float = 0.0) -> None:
        super().__init__(1.0, _share(end_factor))


@SCHEDULES.register()
class Linear(LinearParamScheduler):
    """The learning rate falls along a straight line over the whole training.

    Args:
        end_factor: share of the learning rate at the end.
    """

    def __init__(self, end_factor: float = 0.0) -> None:
        super().__init__(1.0, _share(end_factor))


@SCHEDULES.register()
class Constant(ConstantParamScheduler):
    """The learning rate stays as it is."""

    def __init__(self) -> None:
        super().__init__(1.0)


def _share(end_factor: float) -> float:
    if not 0 <= end_factor <= 1:
        raise ConfigError(f"END_FACTOR: expected a share from 0 to 1, got {end_factor}")
    return end_factor
