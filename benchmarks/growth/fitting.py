"""Power laws through measured points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PowerLaw:
    """``y = factor * x ** exponent``, the least squares line through the logarithms of some points.

    Args:
        exponent: the slope: 1 doubles y with x, 0 leaves it as it is.
        factor: of the same unit as y, at x = 1.
        lowest: the smallest x of the points.
        highest: the largest.
        misfit: how far the farthest point is from the line, as a part of the line's value.
    """

    exponent: float
    factor: float
    lowest: float
    highest: float
    misfit: float


def fit_power_law(x: Sequence[float], y: Sequence[float | None], num_points: int = 3) -> PowerLaw | None:
    """Return the power law of the upper part of a curve, where what is constant weighs least; None without enough points.

    Args:
        x: ascending, above 0.
        y: as many; None, and what is not above 0, is no point.
        num_points: how many of the last points are looked at.
    """
    points = [(a, b) for a, b in list(zip(x, y, strict=True))[-num_points:] if b is not None and b > 0]
    if len(points) < max(2, num_points):
        return None
    logarithms = np.log(np.array(points))
    exponent, offset = np.polyfit(logarithms[:, 0], logarithms[:, 1], 1)
    errors = np.expm1(np.abs(logarithms[:, 1] - exponent * logarithms[:, 0] - offset))
    return PowerLaw(float(exponent), math.exp(offset), points[0][0], points[-1][0], float(errors.max()))
