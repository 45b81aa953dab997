"""What image files show beside their annotations."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from dettoolkit.data.datasets.entries import judged_boxes
from dettoolkit.data.datasets.paths import leaves_folder
from dettoolkit.diagnosis.dataset.inspection import LEADS_OUT, InspectedSet
from dettoolkit.diagnosis.dataset.kinds import found
from dettoolkit.diagnosis.dataset.scanning import SUFFIXES, ScannedImage
from dettoolkit.structures import Finding

_FILE_FAULTS = ("missing-image", "unreadable-image", "truncated-image", "unfit-image", "image-outside-folder")
OUTSIDE = ScannedImage(None, "image-outside-folder", LEADS_OUT)


def files_to_scan(inspected: InspectedSet) -> list[int]:
    """Return the indices of images whose files may be opened: none of a set that draws its images."""
    if inspected.image_root is None:
        return []
    return [index for index, image in enumerate(inspected.images) if not leaves_folder(image.file_name)]


def settle_exchanged_sizes(inspected: InspectedSet, scans: Sequence[ScannedImage | None]) -> None:
    """Give images the size of their file where the annotations exchange width and height, so that boxes are held against it.

    An image that was turned after it was annotated looks the same but for its boxes: they decide, those of all such images of
    the set together, for near squares hold them either way.
    """
    exchanged = [index for index, scan in enumerate(scans) if _is_exchanged(inspected.images[index].stated_size, scan)]
    stated = inspected.sizes.copy()
    of_them = np.isin(inspected.boxes.images, exchanged)

    def broken() -> int:
        corners, sizes = inspected.pixel_corners()
        return int((judged_boxes(corners[of_them], sizes[of_them])[1] > 0).sum())

    before = broken()
    inspected.sizes[exchanged] = stated[exchanged, ::-1]
    if broken() > before:
        inspected.sizes = stated


def _is_exchanged(stated: tuple[int, int] | None, scan: ScannedImage | None) -> bool:
    if stated is None or scan is None or scan.header is None or scan.header.orientation != 1:
        return False
    return stated != scan.header.size and stated[::-1] == scan.header.size


def image_findings(inspected: InspectedSet, scans: Sequence[ScannedImage | None]) -> Iterator[Finding]:
    """Yield what the files of a set's images show.

    Args:
        inspected: its ``sizes`` have those of the files where the annotations say none, or exchange width and height.
        scans: one for each image; None for images without a file.
    """
    by_kind: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for index, scan in enumerate(scans):
        for kind, text in () if scan is None else _kinds(inspected, index, scan):
            by_kind[kind].append((index, text))
    for kind, places in by_kind.items():
        yield from found(kind, len(places), (inspected.image_example(index, text) for index, text in places))
    yield from _repeated_files(inspected)
    yield from _empty_images(inspected)


def _kinds(inspected: InspectedSet, index: int, scan: ScannedImage) -> Iterator[tuple[str, str]]:
    """Yield (kind of finding, text) for one image."""
    image = inspected.images[index]
    if scan.fault in _FILE_FAULTS:
        yield scan.fault, scan.message
    if scan.header is None:
        return
    suffix = os.path.splitext(image.file_name)[1].lower()
    if suffix not in SUFFIXES[scan.header.format]:
        yield "mislabelled-image", f"{image.file_name}: is a {scan.header.format} file"
    stated, header = image.stated_size, scan.header
    shown = f"{header.size[1]} x {header.size[0]}"
    if stated is not None and stated != header.size:
        kind = "exif-trap" if stated == header.stored_size else "image-size-mismatch"
        if tuple(inspected.sizes[index].tolist()) == header.size:
            kind = "exchanged-size"
        turned = f" after its EXIF orientation {header.orientation}" if header.orientation != 1 else ""
        yield kind, f"{image.file_name}: the annotations say {stated[1]} x {stated[0]}, the image is {shown}{turned}"
    elif header.orientation != 1:
        tells = stated is not None and header.size != header.stored_size
        kind = "exif-applied" if tells else "exif-orientation"
        yield kind, f"{image.file_name}: EXIF orientation {header.orientation}, {shown} as viewers show it"


def repeated_files(inspected: InspectedSet) -> dict[str, list[int]]:
    """Return the indices of images by the file that they share with others."""
    by_file: dict[str, list[int]] = defaultdict(list)
    for index, image in enumerate(inspected.images):
        by_file[os.path.normpath(image.file_name.replace("\\", "/"))].append(index)
    return {file: indices for file, indices in by_file.items() if len(indices) > 1}


def _repeated_files(inspected: InspectedSet) -> Iterator[Finding]:
    repeated = [(index, indices[0]) for indices in repeated_files(inspected).values() for index in indices[1:]]
    examples = (
        inspected.image_example(index, f"{inspected.images[index].file_name}: also image {inspected.images[first].image_id!r}")
        for index, first in repeated
    )
    yield from found("repeated-file", len(repeated), examples)


def _empty_images(inspected: InspectedSet) -> Iterator[Finding]:
    numbers = np.bincount(inspected.boxes.images, minlength=len(inspected.images))
    empty = np.flatnonzero(numbers == 0).tolist()
    examples = (inspected.image_example(index, inspected.images[index].file_name) for index in empty)
    yield from found("empty-images", len(empty) if len(inspected.boxes.labels) else 0, examples)


def formats(scans: Sequence[ScannedImage | None]) -> Counter[str]:
    """Return how many files there are of each format."""
    return Counter(scan.header.format for scan in scans if scan is not None and scan.header is not None)
