"""How weights are learned: optimizers, parameter groups and the course of the learning rate."""

from dettoolkit.solver.freezing import freeze
from dettoolkit.solver.layer_rates import parameter_names, set_layer_rates
from dettoolkit.solver.learning_rate import LearningRateSchedule, build_schedule, scale_learning_rate, warmup_length
from dettoolkit.solver.parameter_groups import describe_groups, parameter_groups

__all__ = [
    "LearningRateSchedule",
    "build_schedule",
    "describe_groups",
    "freeze",
    "parameter_groups",
    "parameter_names",
    "scale_learning_rate",
    "set_layer_rates",
    "warmup_length",
]
