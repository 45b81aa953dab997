"""HOOKS: what happens around the training steps, in the order of the config's list."""

from dettoolkit.engine.hooks.checkpoints import BestCheckpoint, PeriodicCheckpoint
from dettoolkit.engine.hooks.early_stopping import EarlyStopping
from dettoolkit.engine.hooks.ema import EMA
from dettoolkit.engine.hooks.evaluation import Evaluation
from dettoolkit.engine.hooks.focal_microscope import FocalMicroscope
from dettoolkit.engine.hooks.hook import Hook
from dettoolkit.engine.hooks.learning_rate import LearningRate
from dettoolkit.engine.hooks.metric_writers import MetricWriters
from dettoolkit.engine.hooks.non_finite_loss import NonFiniteLoss
from dettoolkit.engine.hooks.parameters_without_gradient import ParametersWithoutGradient
from dettoolkit.engine.hooks.profile import Profile
from dettoolkit.engine.hooks.report import Report

__all__ = [
    "EMA",
    "BestCheckpoint",
    "EarlyStopping",
    "Evaluation",
    "FocalMicroscope",
    "Hook",
    "LearningRate",
    "MetricWriters",
    "NonFiniteLoss",
    "ParametersWithoutGradient",
    "PeriodicCheckpoint",
    "Profile",
    "Report",
]
