"""What single boxes show: broken ones, and boxes that stand twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dettoolkit.data.datasets.entries import BOX_FAULTS, judged_boxes
from dettoolkit.diagnosis.dataset.inspection import BoxTable, InspectedSet
from dettoolkit.diagnosis.dataset.kinds import found
from dettoolkit.diagnosis.dataset.readings import OUTSIDE_IMAGE, corners_as_meant, is_displaced
from dettoolkit.structures import Finding

_KINDS = {
    "boxes of zero or negative size": "boxes-without-area",
    "boxes outside the image": "boxes-outside-image",
    "boxes with a number that is not finite": "boxes-not-finite",
}
# A tool's "duplicate" key shifts the copy by a pixel or two. Two neighbouring objects of a few pixels may differ by as little,
# so the boxes must overlap nearly whole as well; large boxes that were drawn twice by hand differ by more pixels.
SHIFT = 2.0  # pixels in each of the four numbers
SHIFTED_OVERLAP = 0.8  # IoU of boxes that differ by no more than that
LARGEST_OVERLAP = 0.95  # IoU from which boxes are the same however many pixels they differ by


def broken_boxes(inspected: InspectedSet) -> Iterator[Finding]:
    """Yield boxes without area, outside of their image or with numbers that are not finite: what training refuses.

    Boxes that are sound as soon as the set is read in the way that it is meant are not among them: the reading is told.
    """
    corners, sizes = inspected.pixel_corners()
    meant = corners_as_meant(inspected)[0]
    known = (sizes > 0).all(axis=1) | ~np.isfinite(inspected.boxes.corners).all(axis=1)
    kinds = np.where(known & (judged_boxes(meant, sizes)[1] > 0), judged_boxes(corners, sizes)[1], 0)
    displaced = is_displaced(meant, sizes)
    for number, words in BOX_FAULTS.items():
        kind = "boxes-displaced" if number == OUTSIDE_IMAGE and displaced else _KINDS[words]
        indices = np.flatnonzero(kinds == number)
        worst = indices[np.argsort(-_overhang(corners[indices], sizes[indices]), kind="stable")].tolist()
        examples = (inspected.box_example(index, corners, _in_image(sizes[index])) for index in worst)
        yield from found(kind, len(indices), examples)


def duplicate_boxes(inspected: InspectedSet) -> Iterator[Finding]:
    """Yield boxes that stand twice in an image, with the same class and with two; crowd regions are left out of account."""
    corners, sizes = inspected.pixel_corners()
    later, earlier, overlaps = duplicate_pairs(inspected.boxes, corners, sizes)
    same = inspected.boxes.labels[later] == inspected.boxes.labels[earlier]
    for kind, chosen in (("duplicate-boxes", same), ("same-box-two-classes", ~same)):
        yield from _pairs(kind, inspected, corners, later[chosen], earlier[chosen], overlaps[chosen])


def duplicate_pairs(
    table: BoxTable, corners: NDArray[np.float64], sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return ``[P]`` indices of boxes, of the earlier boxes that stand in the same place, and the IoU of the two.

    Crowd regions and broken boxes are left out of account; ``table.images`` need not ascend.

    A box that stands three times is in two pairs: each time with the first that it equals.
    """
    sound = (judged_boxes(corners, sizes)[1] == 0) & ~table.ignore
    indices = np.flatnonzero(sound)
    order = indices[np.lexsort((corners[indices, 0], table.images[indices]))]
    boxes, owners = corners[order], table.images[order]
    # IoU >= L asks of the left edges that they differ by less than (1 - L) / L widths
    reach = np.maximum(SHIFT, (boxes[:, 2] - boxes[:, 0]) * (1 - LARGEST_OVERLAP) / LARGEST_OVERLAP)
    active, step, pairs = np.arange(len(order)), 0, []
    while len(active):  # neighbours at growing distance in the order of the left edges
        step += 1
        active = active[active + step < len(order)]
        other = active + step
        near = (owners[other] == owners[active]) & (boxes[other, 0] - boxes[active, 0] <= reach[active])
        active, other = active[near], other[near]
        overlaps = _overlaps(boxes[active], boxes[other])
        shifted = (np.abs(boxes[active] - boxes[other]) <= SHIFT).all(axis=1) & (overlaps >= SHIFTED_OVERLAP)
        equal = shifted | (overlaps >= LARGEST_OVERLAP)
        pairs += list(zip(order[active[equal]].tolist(), order[other[equal]].tolist(), overlaps[equal].tolist(), strict=True))
    return _first_of_each(pairs)


def _first_of_each(
    pairs: list[tuple[int, int, float]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return each later box of a pair once, with the earliest box that it equals."""
    earliest: dict[int, tuple[int, float]] = {}
    for one, other, overlap in pairs:
        low, high = sorted((one, other))
        if high not in earliest or low < earliest[high][0]:
            earliest[high] = (low, overlap)
    later = sorted(earliest)
    first = np.array([earliest[index][0] for index in later], dtype=np.int64)
    overlaps = np.array([earliest[index][1] for index in later], dtype=np.float64)
    return np.array(later, dtype=np.int64), first, overlaps


def _pairs(
    kind: str,
    inspected: InspectedSet,
    corners: NDArray[np.float64],
    later: NDArray[np.int64],
    earlier: NDArray[np.int64],
    overlaps: NDArray[np.float64],
) -> list[Finding]:
    """Return the finding of a kind, the images with the most such boxes first."""
    in_image = Counter(inspected.boxes.images[later].tolist())
    order = sorted(range(len(later)), key=lambda k: (-in_image[int(inspected.boxes.images[later[k]])], -overlaps[k]))
    names = inspected.info.class_names

    def words(k: int) -> str:
        other, number = int(earlier[k]), in_image[int(inspected.boxes.images[later[k]])]
        shift = float(np.abs(corners[later[k]] - corners[other]).max())
        far = "is at the very same place as" if shift == 0 else f"differs by {shift:g} pixel{'s' * (shift != 1)} at most from"
        place = inspected.boxes.places[other].rpartition(": ")[2]
        # a set that is built knows no places any more, and a running number of its own nobody could find in a file
        where = f"of {place}" if place else f"[{', '.join(f'{value:g}' for value in corners[other])}]"
        more = f", one of {number} in this image" if number > 1 else ""
        return f"{far} {names[inspected.boxes.labels[other]]} {where}{more}"

    examples = (inspected.box_example(int(later[k]), corners, words(k)) for k in order)
    return found(kind, len(later), examples)


def _overhang(corners: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return by how many pixels boxes leave their images; 0 for what is not finite."""
    limit = np.tile(sizes[:, ::-1], 2)
    return np.nan_to_num(np.maximum(-corners, corners - limit), nan=0.0, posinf=0.0, neginf=0.0).max(axis=1, initial=0.0)


def _overlaps(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of ``[P, 4]`` boxes with as many others, pair by pair."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    shared = sides.clip(0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (others[:, 2:] - others[:, :2]).prod(axis=1)
    return np.asarray(shared / (areas - shared))


def _in_image(size: NDArray[np.int64]) -> str:
    height, width = size.tolist()
    return f"in an image of {width} x {height}" if height else "in an image of unknown size"
