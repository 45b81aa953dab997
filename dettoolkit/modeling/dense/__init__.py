"""What turns the parts into a dense detector: criterion, normaliser and decoder."""

from dettoolkit.modeling.dense.criterion import DenseCriterion
from dettoolkit.modeling.dense.decoder import DenseDecoder
from dettoolkit.modeling.dense.input_normalization import InputNormalization
from dettoolkit.modeling.dense.normalizer import NORMALIZERS, Normalizer

__all__ = ["NORMALIZERS", "DenseCriterion", "DenseDecoder", "InputNormalization", "Normalizer"]
