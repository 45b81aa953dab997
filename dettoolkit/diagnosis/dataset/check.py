"""The check of the data sets of a run, from their files to findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from dettoolkit.diagnosis.dataset.boxes import broken_boxes, duplicate_boxes
from dettoolkit.diagnosis.dataset.classes import class_counts, class_findings
from dettoolkit.diagnosis.dataset.images import OUTSIDE, files_to_scan, formats, image_findings, settle_exchanged_sizes
from dettoolkit.diagnosis.dataset.inspection import InspectedSet, inspect_dataset
from dettoolkit.diagnosis.dataset.kinds import found, found_by_parser, joined
from dettoolkit.diagnosis.dataset.readings import reading_findings
from dettoolkit.diagnosis.dataset.repeated_pictures import (
    PictureDigest,
    digest,
    digest_for_overlaps,
    repeated_pictures,
    same_groups,
)
from dettoolkit.diagnosis.dataset.scanning import ScannedImage, scan_images
from dettoolkit.diagnosis.dataset.sizes import tiny_objects
from dettoolkit.diagnosis.pictures import SamePictures
from dettoolkit.errors import DataError
from dettoolkit.structures import Finding, FindingExample


@dataclass(frozen=True)
class DatasetCheck:
    """What a check found.

    Args:
        sets: as their files say.
        scans: for each set one for each image; None for images without a file.
        groups: pictures that are the same.
        findings: errors first.
    """

    sets: list[InspectedSet]
    scans: list[list[ScannedImage | None]]
    groups: list[SamePictures]
    findings: list[Finding]

    @property
    def is_clean(self) -> bool:
        """Whether there is neither an error nor a warning; hints are no faults."""
        return all(finding.severity == "hint" for finding in self.findings)

    def read_image(self, dataset: str, image_id: int | str) -> Tensor:
        """Return an image as uint8 RGB ``[3, H, W]``, whether or not it fits its annotations: for a page with pictures.

        Raises:
            KeyError: there is no such set or image.
            DataError: the image cannot be read.
        """
        inspected = {one.info.name: one for one in self.sets}[dataset]
        return inspected.read_image(inspected.index_of(image_id))

    def summaries(self) -> list[dict[str, Any]]:
        """Return what is in each data set, as plain data."""
        return [
            {
                "name": inspected.info.name,
                "uses": sorted(inspected.uses),
                "images": len(inspected.images),
                "boxes": len(inspected.boxes.labels),
                "crowd_boxes": int(inspected.boxes.ignore.sum()),
                "classes": dict(zip(inspected.info.class_names, class_counts(inspected).tolist(), strict=True)),
                "formats": dict(formats(scans)),
            }
            for inspected, scans in zip(self.sets, self.scans, strict=True)
        ]


def check_datasets(
    cfg: Any, names: Sequence[str], decode: bool = True, overlaps: bool = False, workers: int = 2
) -> DatasetCheck:
    """Check data sets.

    Args:
        cfg: of the run.
        names: of the data sets, each once.
        decode: whether to decode the images, each once; otherwise their headers alone are read, and no pictures compared.
        overlaps: whether to look for shifted pictures of the same scene as well.
        workers: processes that look into the images; 0: this one alone.

    Raises:
        ConfigError: no data set has one of the names.
        DataError: a set cannot be read at all.
    """
    sets = _inspected(cfg, names)
    kept = digest_for_overlaps if overlaps else digest
    scans = [_scanned(inspected, decode, workers, kept) for inspected in sets]
    groups = same_groups(sets, scans)
    findings = [*class_findings(sets), *repeated_pictures(sets, scans, groups, overlaps)]
    for inspected, of_set in zip(sets, scans, strict=True):
        findings += [*_parser_findings(inspected), *image_findings(inspected, of_set), *box_findings(inspected)]
        findings += tiny_objects(inspected, cfg)
    return DatasetCheck(sets, scans, groups, joined(findings))


def _inspected(cfg: Any, names: Sequence[str]) -> list[InspectedSet]:
    """Return all sets, or raise of all that cannot be read."""
    read = [_read(cfg, name) for name in names]
    if any(isinstance(outcome, DataError) for outcome in read):
        raise DataError("\n".join(str(outcome) for outcome in read if isinstance(outcome, DataError)))
    return [outcome for outcome in read if isinstance(outcome, InspectedSet)]


def _read(cfg: Any, name: str) -> InspectedSet | DataError:
    try:
        return inspect_dataset(cfg, name)
    except DataError as error:
        return error


def box_findings(inspected: InspectedSet) -> Iterator[Finding]:
    """Yield what the boxes of a set show, without a look at its images."""
    yield from reading_findings(inspected)
    yield from broken_boxes(inspected)
    yield from duplicate_boxes(inspected)


def _scanned(
    inspected: InspectedSet, decode: bool, workers: int, kept: Callable[[Tensor], PictureDigest]
) -> list[ScannedImage | None]:
    """Look into the images of a set, and note their sizes where the annotations say none, or exchange the two numbers."""
    scans: list[ScannedImage | None] = [None if inspected.image_root is None else OUTSIDE] * len(inspected.images)
    indices = files_to_scan(inspected)
    if inspected.image_root is None:
        return scans
    files = [inspected.image_root / inspected.images[index].file_name for index in indices]
    read = inspected.dataset.form.read if decode else None
    for index, scan in zip(indices, scan_images(files, read, workers, kept), strict=True):
        scans[index] = scan
        if scan.header is not None and inspected.images[index].stated_size is None:
            inspected.sizes[index] = scan.header.size
    settle_exchanged_sizes(inspected, scans)
    return scans


def _parser_findings(inspected: InspectedSet) -> Iterator[Finding]:
    by_words: dict[str, list[FindingExample]] = defaultdict(list)
    for words, where in inspected.faults:
        by_words[words].append(FindingExample(where, inspected.info.name, place=where))
    for words, examples in by_words.items():
        yield found_by_parser(words, len(examples), examples)
    others = [FindingExample(f"{words}: {count}", inspected.info.name) for words, count in inspected.left_out.most_common()]
    yield from found("left-out", inspected.left_out.total(), others)
