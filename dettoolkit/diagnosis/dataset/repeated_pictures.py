"""The same picture more than once, and the same scene with the camera moved: within a data set and across."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from torch import Tensor

from dettoolkit.diagnosis.dataset.images import repeated_files
from dettoolkit.diagnosis.dataset.inspection import InspectedSet
from dettoolkit.diagnosis.dataset.kinds import EXAMPLES_KEPT, found
from dettoolkit.diagnosis.dataset.scanning import ScannedImage
from dettoolkit.diagnosis.pictures import (
    Fingerprint,
    Overlap,
    PictureName,
    SamePictures,
    SmallGray,
    fingerprint,
    overlapping_pictures,
    same_pictures,
    small_gray,
)
from dettoolkit.structures import Finding, FindingExample

Scans = Sequence[Sequence[ScannedImage | None]]
_SHOWN_OF_GROUP = 4  # pictures


@dataclass(frozen=True)
class PictureDigest:
    """What is kept of a picture's pixels: 2.4 kB, and 20 kB more where overlaps are looked for."""

    fingerprint: Fingerprint
    gray: SmallGray | None = None


def digest(pixels: Tensor) -> PictureDigest:
    """Return what tells that a picture is there twice."""
    return PictureDigest(fingerprint(pixels))


def digest_for_overlaps(pixels: Tensor) -> PictureDigest:
    """Return what also tells that two pictures show the same scene."""
    return PictureDigest(fingerprint(pixels), small_gray(pixels))


@dataclass(frozen=True)
class _Gallery:
    """The pictures of several data sets by name."""

    sets: dict[str, InspectedSet]
    indices: dict[PictureName, int]
    digests: dict[PictureName, PictureDigest]

    @classmethod
    def of(cls, sets: Sequence[InspectedSet], scans: Scans) -> _Gallery:
        indices, digests = {}, {}
        for inspected, of_set in zip(sets, scans, strict=True):
            again = {index for group in repeated_files(inspected).values() for index in group[1:]}  # told already
            for index, scan in enumerate(of_set):
                if scan is not None and scan.digest is not None and index not in again:
                    name = PictureName(inspected.info.name, inspected.images[index].image_id)
                    indices[name], digests[name] = index, scan.digest
        return cls({inspected.info.name: inspected for inspected in sets}, indices, digests)

    def leaks(self, pictures: Sequence[PictureName]) -> bool:
        """Whether one of the pictures is trained on and another one, of another set, evaluated on."""
        names = {name.dataset for name in pictures}
        return any(
            "train" in self.sets[one].uses and "test" in self.sets[other].uses for one in names for other in names - {one}
        )

    def crosses_splits(self, pictures: Sequence[PictureName]) -> bool:
        """Whether the pictures are of several sets, and one of these is evaluated on."""
        names = {name.dataset for name in pictures}
        return len(names) > 1 and any("test" in self.sets[name].uses for name in names)

    def shown(self, name: PictureName, text: str, group: int) -> FindingExample:
        example = self.sets[name.dataset].image_example(self.indices[name], text)
        return replace(example, group=group)

    def called(self, name: PictureName) -> str:
        return f"{name.dataset}: {self.sets[name.dataset].images[self.indices[name]].file_name}"


def same_groups(sets: Sequence[InspectedSet], scans: Scans) -> list[SamePictures]:
    """Return the groups of pictures that are the same; image files that are listed twice count as one picture."""
    gallery = _Gallery.of(sets, scans)
    return same_pictures({name: kept.fingerprint for name, kept in gallery.digests.items()})


def repeated_pictures(
    sets: Sequence[InspectedSet], scans: Scans, groups: Sequence[SamePictures], overlaps: bool = False
) -> Iterator[Finding]:
    """Yield pictures that are there more than once, and with ``overlaps`` those that show the same scene.

    Args:
        sets: whose pictures are compared, each with all others.
        scans: with what :func:`digest` or, for overlaps, :func:`digest_for_overlaps` made of them.
        groups: of :func:`same_groups`.
        overlaps: whether to look for shifted pictures; the time grows with the square of their number.
    """
    gallery = _Gallery.of(sets, scans)
    leaks = [gallery.leaks(group.pictures) for group in groups]
    for kind, is_leak in (("leaked-picture", True), ("same-picture", False)):
        chosen = [group for group, leak in zip(groups, leaks, strict=True) if leak == is_leak]
        chosen.sort(key=lambda group: -len(group.pictures))
        examples = (_of_group(gallery, group, number) for number, group in enumerate(chosen, start=1))
        yield from found(kind, len(chosen), chain.from_iterable(examples))
    if overlaps:
        yield from _overlaps(gallery, groups)


def _of_group(gallery: _Gallery, group: SamePictures, number: int) -> Iterator[FindingExample]:
    """Yield the pictures of a group side by side."""
    how = "the same pixels" if group.identical else f"a copy, similarity {group.similarity:.3f}"
    for name in group.pictures[:_SHOWN_OF_GROUP]:
        others = [gallery.called(other) for other in group.pictures if other != name]
        more = f" and {len(others) - 2} more" if len(others) > 2 else ""
        yield gallery.shown(name, f"the same as {' and '.join(others[:2])}{more} ({how})", number)


def _overlaps(gallery: _Gallery, groups: Sequence[SamePictures]) -> Iterator[Finding]:
    group_of = {name: number for number, group in enumerate(groups) for name in group.pictures}
    grays = {name: kept.gray for name, kept in gallery.digests.items() if kept.gray is not None}
    pairs = [
        pair
        for pair in overlapping_pictures(grays)
        if pair.first not in group_of or group_of[pair.first] != group_of.get(pair.second)
    ]
    for kind, crosses in (("leaked-scene", True), ("overlapping-pictures", False)):
        chosen = [pair for pair in pairs if gallery.crosses_splits((pair.first, pair.second)) == crosses]
        shown = enumerate(chosen[:EXAMPLES_KEPT], start=1)
        examples = chain.from_iterable(_of_pair(gallery, pair, number) for number, pair in shown)
        yield from found(kind, len(chosen), examples)


def _of_pair(gallery: _Gallery, pair: Overlap, number: int) -> Iterator[FindingExample]:
    """Yield two pictures of one scene side by side."""
    dx, dy = pair.shift
    for one, other, shift in ((pair.first, pair.second, (dx, dy)), (pair.second, pair.first, (-dx, -dy))):
        scene = f"{pair.share:.0%} of the scene of {gallery.called(other)}"
        yield gallery.shown(one, f"shows {scene}, shifted by {shift[0]}, {shift[1]} pixels (score {pair.score:.2f})", number)
