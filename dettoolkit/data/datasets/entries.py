"""From what annotation files say of images to records: each image and each box is checked here, for every format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dettoolkit.data.datasets.faults import Faults, size_fault
from dettoolkit.data.datasets.paths import leaves_folder
from dettoolkit.data.image_io import image_sizes
from dettoolkit.data.records import Record
from dettoolkit.errors import DataError

# A box may leave the image by one pixel for either way of counting pixels and one for rounding: it is clipped.
# A box that leaves it further does not fit the image: clipping would hide that sizes or coordinates are wrong.
OVERHANG = 2.0
IMAGES_AT_ONCE = 1024
_NO_AREA, _OUTSIDE, _NOT_FINITE = 1, 2, 3
BOX_FAULTS = {
    _NO_AREA: "boxes of zero or negative size",
    _OUTSIDE: "boxes outside the image",
    _NOT_FINITE: "boxes with a number that is not finite",
}


@dataclass
class Box:
    """One box as its file gives it.

    Args:
        corners: x1, y1, x2, y2 in pixels, or in shares of the image's width and height, unchecked.
        label: 0..K-1.
        place: file and id or line, for messages.
        ignore: whether it marks a crowd.
        area: as the file gives it, in square pixels; None: of the box.
    """

    corners: tuple[float, float, float, float]
    label: int
    place: str
    ignore: bool = False
    area: float | None = None


@dataclass
class Entry:
    """One image as its file gives it.

    Args:
        image_id: any int or string that no other image has.
        file_name: relative to the folder of the images.
        size: (height, width), None where the file does not say.
        place: file and id, for messages.
        boxes: unchecked.
        in_shares: whether the corners of the boxes are shares of width and height rather than pixels.
    """

    image_id: int | str
    file_name: str
    size: tuple[int, int] | None
    place: str
    boxes: list[Box] = field(default_factory=list)
    in_shares: bool = False


def checked_records(entries: Iterable[Entry], image_root: Path, check_images: bool, faults: Faults) -> Iterator[Record]:
    """Yield a record for each sound image, with its sound boxes; what is broken goes to ``faults``.

    Args:
        entries: taken in small portions, so that no list of all of them comes into being.
        image_root: the folder that file names are relative to.
        check_images: read the header of each image and compare sizes; otherwise only where the entry has no size.
        faults: told of everything that is left out.
    """
    entries = iter(entries)
    while portion := list(islice(entries, IMAGES_AT_ONCE)):
        for entry in portion:
            faults.saw(entry)
        inside = [entry for entry in portion if _stays_inside(entry, faults)]
        looked_at = [entry for entry in inside if check_images or entry.size is None]
        headers = image_sizes([image_root / entry.file_name for entry in looked_at])
        found = dict(zip(map(id, looked_at), headers, strict=True))
        for entry in inside:
            size = _checked_size(entry, found.get(id(entry)), faults)
            if size is not None:
                yield _record(entry, size, faults)


def _stays_inside(entry: Entry, faults: Faults) -> bool:
    if leaves_folder(entry.file_name):
        faults.add("images outside of the folder of images", f"{entry.place}: file name {entry.file_name!r}", of_entry=True)
        return False
    return True


def _checked_size(entry: Entry, found: tuple[int, int] | DataError | None, faults: Faults) -> tuple[int, int] | None:
    if isinstance(found, DataError):
        faults.add("images that cannot be read", str(found), of_entry=True)
        return None
    if found is None or entry.size is None:
        return found or entry.size
    fault = size_fault(entry.size, found)
    if fault:
        where = f"{entry.place}: {entry.file_name}: {fault}"
        faults.add("images of another size than their annotations say", where, of_entry=True)
        return None
    return found


def _record(entry: Entry, size: tuple[int, int], faults: Faults) -> Record:
    corners = np.array([box.corners for box in entry.boxes], dtype=np.float64).reshape(-1, 4)
    if entry.in_shares:
        corners *= (size[1], size[0], size[1], size[0])
    clipped, sound = _clipped(corners, size, entry, faults)
    boxes = [box for box, is_sound in zip(entry.boxes, sound, strict=True) if is_sound]
    sides = clipped[:, 2:] - clipped[:, :2]
    areas = [box.area for box in boxes]
    return Record(
        entry.image_id,
        entry.file_name,
        *size,
        boxes=clipped,
        labels=np.array([box.label for box in boxes], dtype=np.int64),
        ignore=np.array([box.ignore for box in boxes], dtype=np.bool_),
        areas=np.array(
            [side.prod() if area is None else area for side, area in zip(sides, areas, strict=True)], dtype=np.float32
        ),
    )


def _clipped(
    corners: NDArray[np.float64], size: tuple[int, int], entry: Entry, faults: Faults
) -> tuple[NDArray[np.float32], list[bool]]:
    """Return the sound boxes clipped to the image, and which of ``corners`` they are."""
    height, width = size
    clipped, kinds = judged_boxes(corners, np.array([size] * len(corners), dtype=np.int64).reshape(-1, 2))
    for index in np.flatnonzero(kinds).tolist():
        shown = ", ".join(f"{number:g}" for number in corners[index])
        place = f"{entry.boxes[index].place}: corners (x1, y1, x2, y2)"
        where = f"{place} [{shown}] in {entry.file_name} of {width} x {height}"
        faults.add(BOX_FAULTS[kinds[index]], where, of_entry=True)
    sound = kinds == 0
    return clipped[sound], sound.tolist()


def judged_boxes(corners: NDArray[np.float64], sizes: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Clip boxes to their images and say what is wrong with each.

    Args:
        corners: ``[B, 4]`` x1, y1, x2, y2 in pixels.
        sizes: ``[B, 2]`` (height, width) of each box's image.

    Returns:
        ``[B, 4]`` clipped corners, and ``[B]`` which of ``BOX_FAULTS`` a box has; 0 where it is sound.
    """
    limit = np.tile(sizes[:, ::-1], 2)
    clipped = corners.clip(0, limit).astype(np.float32)
    near = (corners >= -OVERHANG) & (corners <= limit + OVERHANG)
    solid, still_solid = ((array[:, 2:] > array[:, :2]).all(axis=1) for array in (corners, clipped))
    kinds = np.where(near.all(axis=1) & still_solid, 0, _OUTSIDE)
    kinds = np.where(solid, kinds, _NO_AREA)
    return clipped, np.where(np.isfinite(corners).all(axis=1), kinds, _NOT_FINITE)
