"""The implementations of losses over sigmoid outputs: value and gradient in one pass over the logits."""

from dettoolkit.modeling.losses.kernels.formula import Formula, Negative, Positive, balanced
from dettoolkit.modeling.losses.kernels.selection import ENVIRONMENT_VARIABLE, Implementation, implementation_for

__all__ = ["ENVIRONMENT_VARIABLE", "Formula", "Implementation", "Negative", "Positive", "balanced", "implementation_for"]
