"""Which images of a set a mended copy takes, under which name, and how their boxes move."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dettoolkit.diagnosis.dataset.images import repeated_files
from dettoolkit.diagnosis.dataset.inspection import InspectedSet
from dettoolkit.diagnosis.dataset.mending.changes import Change
from dettoolkit.diagnosis.dataset.scanning import SUFFIXES, ScannedImage

_SAME_PROPORTIONS = 0.01  # of the scale: a size is rounded to whole pixels


@dataclass
class ImagePlan:
    """What becomes of one image.

    Args:
        size: (height, width) in the copy, as people see it.
        file_name: in the copy, relative to the folder of its set.
        left_out: why it is not in the copy; empty where it is.
        is_turned: whether its pixels are written upright, without an orientation.
        orientation: by which its boxes must be turned, because they were drawn on the stored pixels; 1: not.
        is_exchanged: whether its annotations exchanged its width and height.
        scale: (x, y) by which its boxes must be multiplied, because the image was resized after they were drawn.
    """

    size: tuple[int, int] = (0, 0)
    file_name: str = ""
    left_out: str = ""
    is_turned: bool = False
    orientation: int = 1
    is_exchanged: bool = False
    scale: tuple[float, float] = (1.0, 1.0)


@dataclass
class SetPlan:
    """What becomes of a set's images.

    Args:
        images: one for each image of the set.
        owners: ``[N]`` the image that an image's boxes go to: itself, or the first that has the same file.
        changes: so far.
    """

    images: list[ImagePlan]
    owners: NDArray[np.int64]
    changes: list[Change] = field(default_factory=list)


def planned_images(inspected: InspectedSet, scans: Sequence[ScannedImage | None]) -> SetPlan:
    """Decide what becomes of the images of a set, each on its own."""
    names: set[str] = set()
    plan = SetPlan([], np.arange(len(inspected.images)))
    for index, scan in enumerate(scans):
        assert scan is not None, "sets that draw their images are not mended"
        image = _planned(inspected, index, scan)
        image.file_name = _free_name(image.file_name, names)
        plan.images.append(image)
        for what in _told(inspected, index, image):
            plan.changes.append(Change(inspected.info.name, inspected.images[index].file_name, what))
    for first, *again in repeated_files(inspected).values():
        for index in again:
            plan.owners[index] = first
            leave_out(
                plan, inspected, index, f"its boxes join those of image {inspected.images[first].image_id!r}, the same file"
            )
    return plan


def leave_out(plan: SetPlan, inspected: InspectedSet, index: int, why: str) -> None:
    """Take an image out of the copy, unless it is out already."""
    if not plan.images[index].left_out:
        plan.images[index].left_out = why
        plan.changes.append(Change(inspected.info.name, inspected.images[index].file_name, f"image left out: {why}"))


def _planned(inspected: InspectedSet, index: int, scan: ScannedImage) -> ImagePlan:
    image, header = inspected.images[index], scan.header
    if scan.fault or header is None:
        return ImagePlan(left_out=scan.message)
    name = image.file_name.replace("\\", "/")
    plan = ImagePlan(header.size, name, is_turned=header.orientation != 1)
    if plan.is_turned and not inspected.dataset.form.is_rgb:
        return ImagePlan(left_out=f"EXIF orientation {header.orientation} on images that are not RGB of 8 bits")
    if plan.is_turned:
        plan.file_name = str(PurePosixPath(name).with_suffix(".png"))
    elif os.path.splitext(name)[1].lower() not in SUFFIXES[header.format]:
        suffix = ".jpg" if header.format == "MPO" else SUFFIXES[header.format][0]
        plan.file_name = str(PurePosixPath(name).with_suffix(suffix))
    stated = image.stated_size
    if stated is None or stated == header.size:
        return plan
    if stated == header.stored_size:
        plan.orientation = header.orientation
        return plan
    if tuple(inspected.sizes[index].tolist()) == header.size:
        plan.is_exchanged = True
        return plan
    scale_y, scale_x = (found / side for found, side in zip(header.size, stated, strict=True))
    if abs(scale_x / scale_y - 1) > _SAME_PROPORTIONS:
        plan.left_out = f"it is {header.size[1]} x {header.size[0]}, its annotations say {stated[1]} x {stated[0]}"
    plan.scale = (scale_x, scale_y)
    return plan


def _told(inspected: InspectedSet, index: int, plan: ImagePlan) -> list[str]:
    """Return what was decided for an image, in words."""
    if plan.left_out:
        return [f"image left out: {plan.left_out}"]
    told = []
    if plan.is_turned:
        told.append(f"pixels turned as its EXIF orientation says, written without it as {plan.file_name}")
    elif plan.file_name != inspected.images[index].file_name.replace("\\", "/"):
        told.append(f"renamed to {plan.file_name}, by its format")
    if plan.is_exchanged:
        told.append(f"size corrected to {plan.size[1]} x {plan.size[0]}: width and height were exchanged")
    if plan.orientation != 1:
        told.append(f"boxes turned with the image (EXIF orientation {plan.orientation})")
    if plan.scale != (1.0, 1.0):
        told.append(f"boxes scaled by {plan.scale[0]:g} x {plan.scale[1]:g}, to the size that the image has")
    return told


def _free_name(name: str, taken: set[str]) -> str:
    """Return the name, or the next one that no other file has; letter case does not count."""
    path, number, free = PurePosixPath(name), 2, name
    while name and free.lower() in taken:
        free, number = str(path.with_stem(f"{path.stem}_{number}")), number + 1
    taken.add(free.lower())
    return free
