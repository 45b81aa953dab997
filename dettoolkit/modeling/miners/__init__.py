"""MINERS: which examples count in the classification loss."""

from dettoolkit.modeling.miners.all_examples import AllExamples
from dettoolkit.modeling.miners.ohem import OHEM

__all__ = ["OHEM", "AllExamples"]
