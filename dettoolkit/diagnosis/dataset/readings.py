"""Whether all boxes of a data set are meant in another way than its format has them: corners, sizes, centres, shares.

Each other way of reading the same numbers is held against the present one: if nearly all that is broken now would fit then,
the numbers mean that. A sound set cannot look so: read as sizes, its corners make nearly all boxes leave their images, and
read as corners, its sizes make nearly all boxes end before they begin. Centres are told from corners by half a box alone: they
are believed only where hardly any box is outside then, and a sound set's boxes at the left and top edges would be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dettoolkit.data.datasets.entries import BOX_FAULTS, judged_boxes
from dettoolkit.diagnosis.dataset.inspection import InspectedSet
from dettoolkit.diagnosis.dataset.kinds import found
from dettoolkit.structures import Finding

Corners = NDArray[np.float64]

OUTSIDE_IMAGE = next(number for number, words in BOX_FAULTS.items() if words == "boxes outside the image")
_FEWEST = 5  # boxes: fewer can fit by chance
_SHARE_BROKEN = 0.1  # of the boxes at least must be broken as they are read now
_SHARE_LEFT = 0.1  # of what is broken now, and of what is sound now, may be broken after reading it anew
_LARGEST_SHARE = 1.5  # a box of shares that leaves its image by half of it is still one of shares
_DISPLACED = 0.25  # of the boxes: if more are outside of their images, it is not single boxes that are wrong
_SMALLEST_IMAGE = 16  # pixels: in smaller ones boxes of a pixel may be meant


@dataclass(frozen=True)
class Reading:
    """Another way to read the numbers of a set.

    Args:
        kind: of the finding.
        anew: (corners ``[B, 4]`` as read now, sides ``[B, 2]`` (width, height) of the images) -> corners in pixels.
        of_shares: whether it is for boxes that are given in shares of their image.
        speaks_for_it: (corners, sides) -> which boxes no sound set has, so that they are meant in this way whatever the
            others are; None: those that are broken as they are read now speak for it, and all boxes are meant so or none.
        is_near: whether it moves boxes so little that most fit either way: then all together must hardly be broken any more.
    """

    kind: str
    anew: Callable[[Corners, Corners], Corners]
    of_shares: bool = False
    speaks_for_it: Callable[[Corners, Corners], NDArray[np.bool_]] | None = None
    is_near: bool = False


def _sizes_for_corners(corners: Corners, sides: Corners) -> Corners:
    del sides
    return np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:]], axis=1)


def _corners_for_sizes(corners: Corners, sides: Corners) -> Corners:
    del sides
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def _centres_for_corners(corners: Corners, sides: Corners) -> Corners:
    del sides
    return corners - np.tile((corners[:, 2:] - corners[:, :2]) / 2, 2)


def _pixels_for_shares(corners: Corners, sides: Corners) -> Corners:
    return corners * np.tile(sides, 2)


def _shares_for_pixels(corners: Corners, sides: Corners) -> Corners:
    return corners / np.tile(sides, 2)


def _as_small_as_shares(corners: Corners, sides: Corners) -> NDArray[np.bool_]:
    small = (np.abs(corners) <= _LARGEST_SHARE).all(axis=1) & (corners[:, 2:] > corners[:, :2]).all(axis=1)
    return np.asarray(small & (sides >= _SMALLEST_IMAGE).all(axis=1))


def _too_large_for_shares(corners: Corners, sides: Corners) -> NDArray[np.bool_]:
    return np.asarray((corners > _LARGEST_SHARE * np.tile(sides, 2)).any(axis=1))


_READINGS = (
    Reading("xywh-read-as-xyxy", _sizes_for_corners),
    Reading("xyxy-read-as-xywh", _corners_for_sizes),
    Reading("normalised-coordinates", _pixels_for_shares, speaks_for_it=_as_small_as_shares),
    Reading("pixels-read-as-shares", _shares_for_pixels, of_shares=True, speaks_for_it=_too_large_for_shares),
    Reading("centre-read-as-corner", _centres_for_corners, is_near=True),
)


def better_reading(inspected: InspectedSet) -> tuple[Reading, NDArray[np.int64]] | None:
    """Return the way that the numbers of a set are meant, and the boxes that speak for it; None: they are read right.

    Boxes of images whose size is not known are left out of account.
    """
    corners, sizes = inspected.pixel_corners()
    known = np.isfinite(corners).all(axis=1) & (sizes > 0).all(axis=1)
    in_shares = inspected.boxes_in_shares()
    for reading in _READINGS:
        indices = np.flatnonzero(known & (in_shares == reading.of_shares))
        speaking = _speaking(reading, corners[indices], sizes[indices])
        if speaking.any():
            return reading, indices[speaking]
    return None


def _speaking(reading: Reading, corners: Corners, sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which boxes are better read in another way; all False where the present one holds."""
    sides = sizes[:, ::-1].astype(np.float64)
    broken_anew = judged_boxes(reading.anew(corners, sides), sizes)[1] > 0
    if reading.speaks_for_it is not None:
        speaking, others_fit = reading.speaks_for_it(corners, sides), True
    else:
        speaking = judged_boxes(corners, sizes)[1] > 0
        others = broken_anew[~speaking]
        others_fit = not len(others) or bool(others.mean() <= _SHARE_LEFT)
        others_fit &= bool(speaking.sum() >= _SHARE_BROKEN * len(corners))
        # a box left of the image stays there when it is moved by half of itself to the left and up: none may be
        others_fit &= not reading.is_near or bool(broken_anew.sum() <= _SHARE_LEFT * speaking.sum())
    holds = others_fit and speaking.sum() >= _FEWEST and broken_anew[speaking].mean() <= _SHARE_LEFT
    return speaking if holds else np.zeros(len(corners), dtype=np.bool_)


def corners_as_meant(inspected: InspectedSet) -> tuple[Corners, NDArray[np.int64], str]:
    """Return ``[B, 4]`` corners in pixels in the way that they are meant, the boxes read anew for that, and the reading's kind.

    Where the set is read right, these are its own corners, no boxes and no kind.
    """
    corners, sizes = inspected.pixel_corners()
    better = better_reading(inspected)
    if better is None:
        return corners, np.zeros(0, dtype=np.int64), ""
    reading, chosen = better
    if reading.speaks_for_it is None:  # all are meant so, those that fit as they are read now too
        chosen = np.flatnonzero(inspected.boxes_in_shares() == reading.of_shares)
    corners[chosen] = reading.anew(corners[chosen], sizes[chosen, ::-1].astype(np.float64))
    return corners, chosen, reading.kind


def is_displaced(corners: Corners, sizes: NDArray[np.int64]) -> bool:
    """Whether so many boxes are outside of their images that all of a set must be wrong, in a way that no reading explains.

    Args:
        corners: ``[B, 4]`` as they are meant, in pixels.
        sizes: ``[B, 2]`` (height, width) of their images; 0 where it is not known.
    """
    known = (sizes > 0).all(axis=1)
    outside = judged_boxes(corners[known], sizes[known])[1] == OUTSIDE_IMAGE
    return bool(outside.sum() >= _FEWEST and outside.mean() > _DISPLACED)


def reading_findings(inspected: InspectedSet) -> Iterator[Finding]:
    """Yield what says that boxes are read in another way than they are meant."""
    better = better_reading(inspected)
    if better is None:
        return
    reading, indices = better
    corners, sizes = inspected.pixel_corners()

    def words(index: int) -> str:
        anew = reading.anew(corners[[index]], sizes[[index], ::-1].astype(np.float64))[0]
        height, width = sizes[index]
        return f"in an image of {width} x {height} would fit as [{', '.join(f'{number:g}' for number in anew)}]"

    examples = (inspected.box_example(index, corners, words(index)) for index in indices.tolist())
    yield from found(reading.kind, len(indices), examples)
