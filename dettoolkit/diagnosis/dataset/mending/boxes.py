"""The boxes of a set as a mended copy has them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dettoolkit.data.datasets.entries import BOX_FAULTS, judged_boxes
from dettoolkit.diagnosis.dataset.boxes import duplicate_pairs
from dettoolkit.diagnosis.dataset.inspection import InspectedSet
from dettoolkit.diagnosis.dataset.kinds import counted
from dettoolkit.diagnosis.dataset.mending.changes import Change
from dettoolkit.diagnosis.dataset.mending.images import SetPlan
from dettoolkit.diagnosis.dataset.readings import OUTSIDE_IMAGE, corners_as_meant, is_displaced

_SMALLEST_REST = 1.0  # pixels of each side that must be left of a box that is clipped


@dataclass
class MendedBoxes:
    """Boxes of a set, as many as it had.

    Args:
        corners: ``[B, 4]`` float64 in pixels of the images in the copy.
        kept: ``[B]`` bool: which are in the copy.
        ignore: ``[B]`` bool; True marks a crowd region.
        owners: ``[B]`` int64: index of the image that a box is of.
    """

    corners: NDArray[np.float64]
    kept: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    owners: NDArray[np.int64]


def mended_boxes(inspected: InspectedSet, plan: SetPlan) -> MendedBoxes:
    """Move, clip and remove the boxes of a set as its images ask for; what is done is added to ``plan.changes``.

    Boxes outside of their images stay as they are where so many are that clipping would hide what is wrong with all.
    """
    table = inspected.boxes
    owners = plan.owners[table.images]
    corners = _moved(inspected, plan, _read_anew(inspected, plan))
    kept = np.array([not plan.images[index].left_out for index in owners.tolist()], dtype=np.bool_)
    mended = MendedBoxes(corners, kept, table.ignore.copy(), owners)
    sizes = np.array([image.size for image in plan.images], dtype=np.int64).reshape(-1, 2)[owners]
    _mend_broken(inspected, plan, mended, sizes)
    _mend_duplicates(inspected, plan, mended, sizes)
    return mended


def turned_boxes(corners: NDArray[np.float64], stored_size: tuple[int, int], orientation: int) -> NDArray[np.float64]:
    """Return boxes on stored pixels as boxes on the image that EXIF orientation 1 to 8 shows (Exif 2.32, tag 0x0112).

    Args:
        corners: ``[B, 4]`` on the stored pixels.
        stored_size: (height, width) of the stored pixels.
        orientation: what the image is turned by.
    """
    height, width = stored_size
    x1, y1, x2, y2 = corners.T
    if orientation in (2, 3, 7, 8):
        x1, x2 = width - x2, width - x1
    if orientation in (3, 4, 6, 7):
        y1, y2 = height - y2, height - y1
    if orientation >= 5:  # rows and columns change places
        x1, y1, x2, y2 = y1, x1, y2, x2
    return np.stack([x1, y1, x2, y2], axis=1)


def _read_anew(inspected: InspectedSet, plan: SetPlan) -> NDArray[np.float64]:
    """Return corners in pixels, read in the way that they are meant."""
    corners, chosen, kind = corners_as_meant(inspected)
    for index, number in zip(*np.unique(inspected.boxes.images[chosen], return_counts=True), strict=True):
        _tell(inspected, plan, int(index), f"{counted(number, 'box', 'boxes')} read anew ({kind})")
    return corners


def _moved(inspected: InspectedSet, plan: SetPlan, corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the boxes where the images in the copy have them."""
    for index, image in enumerate(plan.images):
        if image.orientation != 1 or image.scale != (1.0, 1.0):
            of_image = inspected.boxes.images == index
            stated = inspected.images[index].stated_size
            assert stated is not None, "images without a stated size cannot contradict it"
            corners[of_image] = turned_boxes(corners[of_image] * np.tile(image.scale, 2), stated, image.orientation)
    return corners


def _mend_broken(inspected: InspectedSet, plan: SetPlan, mended: MendedBoxes, sizes: NDArray[np.int64]) -> None:
    clipped, kinds = judged_boxes(mended.corners, sizes)
    to_mend = (kinds > 0) & mended.kept
    if is_displaced(corners_as_meant(inspected)[0], inspected.pixel_corners()[1]):
        to_mend &= kinds != OUTSIDE_IMAGE
    for index in np.flatnonzero(to_mend).tolist():
        words = BOX_FAULTS[int(kinds[index])].removeprefix("boxes ")
        rest = clipped[index, 2:] - clipped[index, :2]
        if words == "outside the image" and bool((rest >= _SMALLEST_REST).all()):
            what = f"clipped to the image from {_shown(mended.corners[index])}"
            mended.corners[index] = clipped[index]
        else:
            what, mended.kept[index] = f"removed: {words}", False
        _tell_box(inspected, plan, mended, index, what)


def _mend_duplicates(inspected: InspectedSet, plan: SetPlan, mended: MendedBoxes, sizes: NDArray[np.int64]) -> None:
    ignore = mended.ignore | ~mended.kept  # what is out of the copy is no other's duplicate
    table = replace(inspected.boxes, images=mended.owners, ignore=ignore)
    for later, earlier, _ in zip(*duplicate_pairs(table, mended.corners, sizes), strict=True):
        mended.kept[later] = False
        names = [inspected.info.class_names[int(table.labels[index])] for index in (later, earlier)]
        _tell_box(inspected, plan, mended, int(later), f"removed: stands twice, as {names[0]} and as {names[1]}")
        if names[0] != names[1] and not mended.ignore[earlier]:
            mended.ignore[earlier] = True
            what = "kept as a crowd region, neither object nor background: its class is not clear"
            _tell_box(inspected, plan, mended, int(earlier), what)


def _tell_box(inspected: InspectedSet, plan: SetPlan, mended: MendedBoxes, index: int, what: str) -> None:
    place = inspected.boxes.places[index]
    name = inspected.info.class_names[int(inspected.boxes.labels[index])]
    _tell(inspected, plan, int(mended.owners[index]), f"{place}: {name} {_shown(mended.corners[index])} {what}")


def _tell(inspected: InspectedSet, plan: SetPlan, image: int, what: str) -> None:
    plan.changes.append(Change(inspected.info.name, inspected.images[image].file_name, what))


def _shown(corners: NDArray[np.float64]) -> str:
    return f"[{', '.join(f'{number:g}' for number in corners)}]"
