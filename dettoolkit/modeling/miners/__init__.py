"""MINERS: which examples count in the classification loss."""

from dettoolkit.modeling.miners.all_examples import AllExamples

__all__ = ["AllExamples"]
