"""How weights are learned: optimizers, parameter groups and the course of the learning rate."""

from dettoolkit.solver.learning_rate import LearningRateSchedule, build_schedule, scale_learning_rate, warmup_length
from dettoolkit.solver.parameter_groups import describe_groups, parameter_groups

__all__ = [
    "LearningRateSchedule",
    "build_schedule",
    "describe_groups",
    "parameter_groups",
    "scale_learning_rate",
    "warmup_length",
]
