"""Annotations that are probably wrong, with a picture of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from torch import Tensor

from dettoolkit.errors import DataError
from dettoolkit.evaluation.analysis import DetectionAnalysis, LabelSuspect
from dettoolkit.report.thumbnails import ReadImage, thumbnail

_SURROUNDINGS = 2.5  # sides of the box that its picture measures
_SMALLEST = 64  # pixels of the image
_SIDE = 220  # pixels of the picture on the page

_KINDS = {
    "not-annotated": "probably not annotated",
    "other-class": "probably another class",
    "not-supported": "probably no such object",
}


@dataclass(frozen=True)
class SuspectView:
    """One suspicion.

    Args:
        rank: 1 is the most suspicious.
        kind: in words.
        suspect: as the analysis has it.
        region: ``[x, y, width, height]`` of the picture, in pixels of the image.
        box: ``[x, y, width, height]`` likewise.
        picture: JPEG data URI; empty where the image cannot be read.
        problem: why it cannot.
    """

    rank: int
    kind: str
    suspect: LabelSuspect
    region: tuple[int, int, int, int]
    box: tuple[float, float, float, float]
    picture: str
    problem: str = ""

    @property
    def link(self) -> str:
        """The fragment by which the gallery opens the image."""
        return "#image=" + quote(self.suspect.file_name, safe="", errors="replace")


@dataclass(frozen=True)
class SuspectSection:
    """What the template shows.

    Args:
        views: the most suspicious first.
        total: how many the analysis lists.
    """

    views: list[SuspectView]
    total: int


def suspect_section(analysis: DetectionAnalysis | None, read_image: ReadImage, limit: int = 60) -> SuspectSection | None:
    """Return the section, or None without an analysis.

    Args:
        analysis: whose suspects are shown.
        read_image: image id -> ``[3, H, W]`` uint8 RGB tensor; called once for each image.
        limit: how many are shown; some 5 kB each.
    """
    if analysis is None:
        return None
    shown = analysis.label_suspects[:limit]
    views: dict[int, SuspectView] = {}
    of_images: dict[int | str, list[int]] = {}
    for rank, suspect in enumerate(shown):
        of_images.setdefault(suspect.image_id, []).append(rank)
    for image_id, ranks in of_images.items():
        views |= _views_of_image(image_id, ranks, shown, read_image)
    return SuspectSection([views[rank] for rank in sorted(views)], len(analysis.label_suspects))


def _views_of_image(
    image_id: int | str, ranks: list[int], shown: Sequence[LabelSuspect], read_image: ReadImage
) -> dict[int, SuspectView]:
    try:
        image = read_image(image_id)
    except (DataError, OSError) as error:  # a picture less, but the page with the numbers of a whole run
        problem = str(error)
        return {rank: _view(rank, shown[rank], None, problem) for rank in ranks}
    return {rank: _view(rank, shown[rank], image, "") for rank in ranks}


def _view(rank: int, suspect: LabelSuspect, image: Tensor | None, problem: str) -> SuspectView:
    x1, y1, x2, y2 = suspect.box
    box = (x1, y1, round(max(x2 - x1, 0.0), 2), round(max(y2 - y1, 0.0), 2))
    if image is None:
        return SuspectView(rank + 1, _KINDS[suspect.kind], suspect, (0, 0, 1, 1), box, "", problem)
    region = _region(suspect.box, image.shape[-1], image.shape[-2])
    x, y, width, height = region
    picture = thumbnail(image[:, y : y + height, x : x + width], _SIDE)
    return SuspectView(rank + 1, _KINDS[suspect.kind], suspect, region, box, picture)


def _region(box: tuple[float, float, float, float], width: int, height: int) -> tuple[int, int, int, int]:
    """Return the square around a box, moved into the image, or as much of it as the image holds."""
    x1, y1, x2, y2 = box
    side = math.ceil(max(_SURROUNDINGS * max(x2 - x1, y2 - y1), _SMALLEST))
    across, down = min(side, width), min(side, height)
    left = min(max(math.floor((x1 + x2 - across) / 2), 0), width - across)
    top = min(max(math.floor((y1 + y2 - down) / 2), 0), height - down)
    return left, top, across, down
