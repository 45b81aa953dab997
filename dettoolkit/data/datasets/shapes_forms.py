"""The forms of the ``shapes`` data set, each an inequality, and the dice that turn and place them.

What is computed here and in its sibling modules has the same bits everywhere: integers, and single IEEE operations
(+, -, *, /) on float32 arrays and Python floats; the raw stream of PCG64, which numpy guarantees. No library draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Mask = NDArray[np.bool_]
Plane = NDArray[np.float32]

# cosine and sine of 18, 90 and 162 degrees: the star's corners, and with the sign of v turned the normals of its sides
STAR_NORMALS = ((0.9510565, 0.3090170), (0.0, 1.0), (-0.9510565, 0.3090170), (-0.5877853, -0.8090170), (0.5877853, -0.8090170))


def _within_ring(u: Plane, v: Plane) -> Mask:
    squared = u * u + v * v
    return (squared >= 0.3) & (squared <= 1.0)


def _within_cross(u: Plane, v: Plane) -> Mask:
    u, v = abs(u), abs(v)
    return (np.minimum(u, v) <= 0.3) & (np.maximum(u, v) <= 0.95)


def _within_star(u: Plane, v: Plane) -> Mask:
    """A pentagram: what lies on the inner side of at least four of its five lines."""
    inner_sides = np.zeros(u.shape, np.uint8)
    for normal_u, normal_v in STAR_NORMALS:
        inner_sides += u * normal_u + v * normal_v <= 0.3090170
    return inner_sides >= 4


# u to the right and v down, everything within the circle u * u + v * v <= 1
CLASSES: dict[str, Callable[[Plane, Plane], Mask]] = {
    "disc": lambda u, v: u * u + v * v <= 1.0,
    "ring": _within_ring,
    "square": lambda u, v: np.maximum(abs(u), abs(v)) <= 0.7,
    "triangle": lambda u, v: (v <= 0.5) & (abs(u) * 1.7320508 - v <= 1.0),
    "cross": _within_cross,
    "star": _within_star,
}

# forms without a class: each is what a hasty eye takes for one of the classes
DISTRACTORS: dict[str, Callable[[Plane, Plane], Mask]] = {
    "half disc": lambda u, v: (u * u + v * v <= 1.0) & (v >= 0.0),
    "arc": lambda u, v: _within_ring(u, v) & (v >= 0.0),
    "angle": lambda u, v: (np.maximum(abs(u), abs(v)) <= 0.7) & (np.minimum(u, v) <= -0.2),
    "chevron": lambda u, v: (v <= 0.5) & (abs(abs(u) * 1.7320508 - v - 0.6) <= 0.4),
    "tee": lambda u, v: _within_cross(u, v) & (v <= 0.3),
    "bar": lambda u, v: (abs(u) <= 0.97) & (abs(v) <= 0.2),
}


class Dice:
    """Whole numbers from the raw stream of PCG64.

    The distributions of ``numpy.random.Generator`` may change from one numpy to the next; the raw stream may not.

    Args:
        key: what the stream depends on, whole numbers from 0.
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))
        self._stock: list[int] = []

    def below(self, count: int) -> int:
        """Return one of 0..count-1: a raw 64-bit number times ``count``, without the low 64 bits."""
        if not self._stock:
            self._stock = self._bits.random_raw(256).tolist()[::-1]
        return (self._stock.pop() * count) >> 64

    def between(self, low: int, high: int) -> int:
        """Return one of low..high, both included."""
        return low + self.below(high - low + 1)

    def choose(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.below(len(items))]

    def tilt(self, steps: int) -> tuple[float, float]:
        """Return (cosine, sine) of 2 * atan(k / 512) for k in -steps..steps."""
        tangent = self.between(-steps, steps) / 512.0
        squared = tangent * tangent
        return (1.0 - squared) / (1.0 + squared), 2.0 * tangent / (1.0 + squared)

    def direction(self) -> tuple[float, float]:
        """Return (cosine, sine) of any direction: a tilt of up to 45 degrees and 0 to 3 right angles."""
        cosine, sine = self.tilt(212)
        return ((cosine, sine), (-sine, cosine), (-cosine, -sine), (sine, -cosine))[self.below(4)]

    def bytes(self, count: int) -> NDArray[np.uint8]:
        """Return ``[count]`` random bytes, a multiple of 8; lowest byte of each raw number first."""
        raw = self._bits.random_raw(count // 8)
        return raw.astype("<u8").view(np.uint8)


def draw_mask(form: Callable[[Plane, Plane], Mask], diameter: int, direction: tuple[float, float], slant: float) -> Mask:
    """Return the pixels of a form whose centres lie within it, cut to the rows and columns that it touches.

    Args:
        form: the inequality on (u, v).
        diameter: of the form's circle, pixels.
        direction: (cosine, sine) of the turn.
        slant: the factor by which v is shortened before the turn.

    Returns:
        ``[h, w]`` bool, h and w at most ``diameter``; 0 x 0 when the form falls between the pixels.
    """
    radius = diameter / 2.0
    across = (np.arange(diameter) + (0.5 - radius)).astype(np.float32)  # exact: halves
    down = across[:, None]
    cosine, sine = direction
    u = across * (cosine / radius) + down * (sine / radius)
    v = across * (-sine / (radius * slant)) + down * (cosine / (radius * slant))
    mask = form(u, v)
    x1, y1, x2, y2 = bounds(mask)
    return mask[y1:y2, x1:x2]


def bounds(mask: Mask) -> tuple[int, int, int, int]:
    """Return (x1, y1, x2, y2) of the True pixels of ``[h, w]``, the far edges exclusive; zeros when there are none."""
    rows: Mask = np.any(mask, axis=1)
    columns: Mask = np.any(mask, axis=0)
    if not rows.any():
        return 0, 0, 0, 0
    return (
        int(columns.argmax()),
        int(rows.argmax()),
        len(columns) - int(columns[::-1].argmax()),
        len(rows) - int(rows[::-1].argmax()),
    )
