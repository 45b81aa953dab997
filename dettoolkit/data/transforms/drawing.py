"""Random numbers in a range, places and windows, drawn from torch's generator; and checks of what they are drawn from."""

from __future__ import annotations

import math

import torch

from dettoolkit.data.transforms.cut import Window


def check_share(name: str, value: float) -> None:
    """Check that a value is between 0 and 1.

    Raises:
        ValueError: it is not.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"expected {name} between 0 and 1, got {value}")


def check_range(name: str, values: tuple[float, float], above: float = 0.0, up_to: float = math.inf) -> None:
    """Check that a range is not empty and lies between two values.

    Raises:
        ValueError: it does not.
    """
    if not above < values[0] <= values[1] <= up_to:
        limit = "" if up_to == math.inf else f" and at most {up_to:g}"
        raise ValueError(f"expected {name} as [smallest, largest], each above {above:g}{limit}, got {list(values)}")


def check_size(size: tuple[float, float], least: float = 1) -> None:
    """Check a (height, width).

    Raises:
        ValueError: a side is shorter than ``least``.
    """
    if min(size) < least:
        raise ValueError(f"expected size as [height, width], each {least:g} or more, got {list(size)}")


def uniform(low: float, high: float) -> float:
    """Return a random number from ``low`` to ``high``."""
    return low + (high - low) * float(torch.rand((), dtype=torch.float64))


def integer(low: int, high: int) -> int:
    """Return a random integer from ``low`` to ``high``, both included."""
    return int(torch.randint(low, high + 1, ()))


def random_window(size: tuple[int, int], window: tuple[int, int]) -> Window:
    """Return a random place of a window, or of as much of it as fits.

    Args:
        size: (height, width) of the image.
        window: (height, width).
    """
    height, width = min(size[0], window[0]), min(size[1], window[1])
    top, left = integer(0, size[0] - height), integer(0, size[1] - width)
    return left, top, left + width, top + height
