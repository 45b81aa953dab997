"""Pictures of the same scene, the camera moved: found by correlating small gray copies at all shifts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dettoolkit.diagnosis.pictures.gray import PictureName, gray_levels, resized
from dettoolkit.diagnosis.pictures.shifted import Shift, ShiftSearch, correlation_near

_SIDE = 160  # the longer side of what is kept of a picture
_BLOCK = 128  # pictures whose correlations are prepared together


@dataclass(frozen=True)
class SmallGray:
    """A small gray copy of a picture.

    Args:
        levels: uint8 ``[h, w]``; the longer side has 160 pixels, or fewer where the picture has.
        size: (height, width) of the picture in pixels.
    """

    levels: NDArray[np.uint8]
    size: tuple[int, int]


@dataclass(frozen=True)
class Overlap:
    """Two pictures that show a part of the same scene.

    Args:
        first: the picture that came first.
        second: the other.
        shift: (dx, dy) in pixels of the original: what is at (x, y) in the second picture is at (x + dx, y + dy) in the
            first. Exact to about a 160th of the longer side.
        share: the part of a picture's area that the other shows too.
        score: correlation of the details in that part, at most 1.
    """

    first: PictureName
    second: PictureName
    shift: tuple[int, int]
    share: float
    score: float


def small_gray(image: Tensor) -> SmallGray:
    """Return what :func:`overlapping_pictures` needs of an image, 20 kB.

    Args:
        image: ``[C, H, W]`` of any numbers, RGB where C is 3.

    Raises:
        ValueError: the image has another shape or is empty.
    """
    gray = gray_levels(image)
    height, width = gray.shape
    scale = min(1.0, _SIDE / max(height, width))
    return SmallGray(resized(gray, max(1, round(height * scale)), max(1, round(width * scale))), (height, width))


def overlapping_pictures(
    pictures: Mapping[PictureName, SmallGray],
    across_datasets_only: bool = False,
    min_share: float = 0.25,
    min_score: float = 0.75,
    progress: Callable[[int, int], None] | None = None,
) -> list[Overlap]:
    """Return the pairs of pictures that show a part of the same scene, shifted but neither turned nor scaled, best first.

    Only pictures of the same size are compared with each other, all with all: the time grows with the square of their
    number, about 0.1 ms a pair on one core, so 6 s for 364 pictures and an hour and a half for 10,000. The same picture
    twice is an overlap of share 1 too.

    Each pair is correlated at all shifts at once, 64 pixels wide, by Fourier transforms, each shift normalised over the
    part that overlaps (Padfield, "Masked object registration in the Fourier domain", 2012). What agrees there is
    correlated again in finer detail, where pictures of one kind that only look alike fall far behind.

    Args:
        pictures: small gray copies, in the order in which pairs name them.
        across_datasets_only: compare no picture with others of its own data set.
        min_share: the least part of a picture's area that must be seen in both.
        min_score: the least correlation of the details in that part. The same scene reaches 0.85 and more, different
            pictures of one microscope up to 0.6, those of one camera with a round field of view up to 0.71.
        progress: called with (pairs compared, pairs in all) now and then.

    Raises:
        ValueError: ``min_share`` is not above 0 and at most 1.
    """
    if not 0 < min_share <= 1:
        raise ValueError(f"min_share must be above 0 and at most 1, got {min_share}")
    jobs = _jobs(pictures, across_datasets_only)
    total = sum(job.num_pairs for job in jobs)
    done, found = 0, []
    for job in jobs:
        for first, second, shift in job.candidates(min_share):
            overlap = _confirmed(first, second, shift, pictures, min_share)
            if overlap.score >= min_score:
                found.append(overlap)
        done += job.num_pairs
        if progress is not None:
            progress(done, total)
    return sorted(found, key=lambda overlap: -overlap.score)


@dataclass(frozen=True)
class _Job:
    """Two lists of pictures, all of one size, to compare each with each; a list with itself is compared once."""

    names: Sequence[PictureName]
    others: Sequence[PictureName]
    pictures: Mapping[PictureName, SmallGray]

    @property
    def num_pairs(self) -> int:
        n = len(self.names)
        return n * (n - 1) // 2 if self.names is self.others else n * len(self.others)

    def candidates(self, min_share: float) -> Iterator[tuple[PictureName, PictureName, Shift]]:
        """Yield the pairs worth a closer look."""
        search = ShiftSearch([self.pictures[name].levels for name in self.others], min_share)
        within = self.names is self.others
        firsts = search if within else ShiftSearch([self.pictures[name].levels for name in self.names], min_share)
        for index, name in enumerate(self.names):
            start = index + 1 if within else 0
            for place, shift in search.near(firsts, index, start):
                yield name, self.others[place], shift


def _jobs(pictures: Mapping[PictureName, SmallGray], across_datasets_only: bool) -> list[_Job]:
    """Return what is to be compared in portions that fit into memory."""
    by_size: dict[tuple[int, int], dict[str, list[PictureName]]] = defaultdict(lambda: defaultdict(list))
    for name, picture in pictures.items():
        by_size[picture.size][name.dataset if across_datasets_only else ""].append(name)
    jobs = []
    for by_dataset in by_size.values():
        blocks = [
            (dataset, names[start : start + _BLOCK])
            for dataset, names in by_dataset.items()
            for start in range(0, len(names), _BLOCK)
        ]
        for index, (dataset, names) in enumerate(blocks):
            for other_dataset, others in blocks[index:]:
                if not (across_datasets_only and dataset == other_dataset):
                    jobs.append(_Job(names, others, pictures))
    return [job for job in jobs if job.num_pairs]


def _confirmed(
    first: PictureName, second: PictureName, coarse: Shift, pictures: Mapping[PictureName, SmallGray], min_share: float
) -> Overlap:
    """Return the pair with its shift and score in finer detail."""
    levels, size = pictures[first].levels, pictures[first].size
    score, (dx, dy) = correlation_near(levels, pictures[second].levels, coarse, min_share)
    height, width = levels.shape
    shift = (round(dx * size[1] / width), round(dy * size[0] / height))
    return Overlap(first, second, shift, (1 - abs(dx) / width) * (1 - abs(dy) / height), score)
