"""SCHEDULES: fvcore's ``ParamScheduler``: share of the training that is done -> share of the learning rate."""

from dettoolkit.solver.schedules.multi_step import MultiStep
from dettoolkit.solver.schedules.smooth import Constant, Cosine, Linear

__all__ = ["Constant", "Cosine", "Linear", "MultiStep"]
