"""OPTIMIZERS: torch optimizers that group a model's parameters."""

from dettoolkit.solver.optimizers.adamw import AdamW
from dettoolkit.solver.optimizers.sgd import SGD

__all__ = ["SGD", "AdamW"]
