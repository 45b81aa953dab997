"""Precision over recall, for a look at what a score threshold costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PrecisionRecall:
    """The precision-recall curve of one class at IoU 0.5.

    Args:
        recall: ``[101]`` float64, 0 to 1 in steps of 0.01.
        precision: ``[101]`` float64, the best precision at that recall or above; 0 where the recall is not reached.
        score: ``[101]`` float64, the score threshold that gives that recall; 0 where it is not reached.
    """

    recall: np.ndarray
    precision: np.ndarray
    score: np.ndarray
