"""The recipe resolver: batch, learning rate and length for a machine and a data set, with reasons."""

from dettoolkit.diagnosis.recipe.memory import GIB, StepMemory, step_memory
from dettoolkit.diagnosis.recipe.recipe import Machine, Recipe, has_batch_norm, propose
from dettoolkit.diagnosis.recipe.text import to_yaml

__all__ = ["GIB", "Machine", "Recipe", "StepMemory", "has_batch_norm", "propose", "step_memory", "to_yaml"]
