"""The same picture more than once: fingerprints compared, all with all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dettoolkit.diagnosis.pictures.fingerprint import THUMBNAIL_SIDE, Fingerprint
from dettoolkit.diagnosis.pictures.gray import PictureName, without_shading

_DIFFERENT_BITS = 10  # of 64; JPEG, resizing and a little more light change at most 6
_SHADING_SIGMA = 4.8  # a tenth of the thumbnail's side
_NOISE = 0.25  # variance, in gray levels squared
_BLOCK = 2048  # pictures compared at once: a product of 2048 x 2048 numbers
# A copy differs a little wherever there is detail. Two pictures of a fixed camera are the same but for spots, where something
# came or went; in them a pixel of the thumbnail differs by far more than the middle one does.
_SPOT_LEVELS = 15.0  # gray levels: compression, resizing and light change fewer, unless they change many pixels
_SPOT_RATIO = 45.0  # times the median; copies reach 33, pictures moved by two pixels 44, those of fixed cameras 49 and more
_PAIRS_AT_ONCE = 64  # whose thumbnails are looked at: what a processor's cache holds


@dataclass(frozen=True)
class SamePictures:
    """Pictures that show the same.

    Args:
        pictures: at least two, in the order in which they came.
        identical: whether they have the same pixels; otherwise they are copies, compressed or resized anew.
        similarity: the lowest correlation by which one of them came to the others, at most 1.
    """

    pictures: tuple[PictureName, ...]
    identical: bool
    similarity: float


def same_pictures(fingerprints: Mapping[PictureName, Fingerprint], min_similarity: float = 0.97) -> list[SamePictures]:
    """Return the groups of pictures that are the same, those with the same pixels first.

    A group of copies names all its pictures, so pictures with the same pixels that also have a resized copy are in a
    group of each kind. Every pair is compared, in matrix products: 100,000 pictures take about a minute, and pairs that
    are alike some microseconds each: the still frames of a fixed camera, 10,000 of them, some minutes.

    Pictures that differ in a spot are not the same: those of a fixed camera at two moments, as long as what moved is not
    smaller than about a fiftieth of their sides.

    Args:
        fingerprints: of each picture.
        min_similarity: the correlation of two thumbnails, their lighting taken off, from which the pictures are the same. JPEG
            at quality 30 and resizing to a fifth leave 0.98 and more; pictures a few pixels apart reach 0.96.
    """
    by_digest: dict[bytes, list[PictureName]] = {}
    for name, one in fingerprints.items():
        by_digest.setdefault(one.digest, []).append(name)
    identical = [SamePictures(tuple(names), True, 1.0) for names in by_digest.values() if len(names) > 1]
    distinct = [names[0] for names in by_digest.values()]
    members = list(by_digest.values())
    copies = [
        SamePictures(_in_order([name for index in group for name in members[index]], fingerprints), False, similarity)
        for group, similarity in _joined(_similar_pairs([fingerprints[name] for name in distinct], min_similarity))
    ]
    return identical + copies


def _in_order(names: list[PictureName], fingerprints: Mapping[PictureName, Fingerprint]) -> tuple[PictureName, ...]:
    wanted = set(names)
    return tuple(name for name in fingerprints if name in wanted)


def _similar_pairs(prints: Sequence[Fingerprint], min_similarity: float) -> Iterator[tuple[int, int, float]]:
    """Yield (first, second, similarity) of all pairs of pictures whose hashes and thumbnails agree."""
    packed = np.array([one.bits for one in prints], dtype=">u8").view(np.uint8).reshape(-1, 8)
    signs = np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1  # [n, 64]: the product of two rows is 64 - 2 x differing
    for start in range(0, len(prints), _BLOCK):
        for other in range(start, len(prints), _BLOCK):
            agreeing = signs[start : start + _BLOCK] @ signs[other : other + _BLOCK].T >= 64 - 2 * _DIFFERENT_BITS
            rows, columns = np.nonzero(np.triu(agreeing, k=1) if start == other else agreeing)
            if len(rows):
                yield from _confirmed(prints, rows + start, columns + other, min_similarity)


def _confirmed(
    prints: Sequence[Fingerprint], firsts: NDArray[np.intp], seconds: NDArray[np.intp], min_similarity: float
) -> Iterator[tuple[int, int, float]]:
    """Yield those of the proposed pairs whose thumbnails agree too."""
    rows, row_of = np.unique(firsts, return_inverse=True)
    columns, column_of = np.unique(seconds, return_inverse=True)
    details, others = _details(prints, rows), _details(prints, columns)
    similarity = (_unit(details) @ _unit(others).T)[row_of, column_of]
    alike = np.flatnonzero(similarity >= min_similarity)
    for start in range(0, len(alike), _PAIRS_AT_ONCE):
        part = alike[start : start + _PAIRS_AT_ONCE]
        for index in part[~_differ_in_a_spot(details[row_of[part]], others[column_of[part]])]:
            yield int(firsts[index]), int(seconds[index]), min(float(similarity[index]), 1.0)


def _details(prints: Sequence[Fingerprint], indices: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the thumbnails without lighting, of mean 0, float32 gray levels ``[len(indices), pixels]``."""
    rows = []
    for index in indices.tolist():
        gray = np.frombuffer(prints[index].thumbnail, np.uint8).reshape(THUMBNAIL_SIDE, THUMBNAIL_SIDE)
        row = without_shading(gray, _SHADING_SIGMA).ravel()
        rows.append(row - row.mean())
    return np.stack(rows)


def _unit(details: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return details of length 1.

    Half a gray level of noise is taken to be in each, so that the length of a picture without details stays below 1: none
    is the same as an empty one.
    """
    squares = np.square(details).sum(axis=1, keepdims=True)
    return np.asarray(details / np.sqrt(squares + details.shape[1] * _NOISE))


def _differ_in_a_spot(details: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return ``[n]`` which pairs are the same but for a spot; details are ``[n, pixels]`` and correlate."""
    gain = np.einsum("np,np->n", details, others) / np.einsum("np,np->n", details, details)
    rest = details * -gain[:, None]
    rest += others  # what more or less contrast does not explain
    largest = np.maximum(rest.max(axis=1), -rest.min(axis=1))
    spots = largest > _SPOT_LEVELS * np.sqrt(gain)  # halfway between the contrasts of the two
    near_zero = np.abs(rest[spots]) * _SPOT_RATIO < largest[spots, None]
    spots[spots] = near_zero.mean(axis=1) > 0.5  # of more than half of the pixels: so is the median
    return np.asarray(spots)


def _joined(pairs: Iterator[tuple[int, int, float]]) -> list[tuple[list[int], float]]:
    """Return what hangs together by pairs: (the sorted members, the lowest similarity of their pairs) of each group."""
    members_of: dict[int, list[int]] = {}
    lowest: dict[int, float] = {}  # by a picture that was once the first of a pair, not by group
    for first, second, similarity in pairs:
        lowest[first] = min(similarity, lowest.get(first, 1.0))
        group, other = members_of.setdefault(first, [first]), members_of.setdefault(second, [second])
        if other is not group:
            if len(group) < len(other):
                group, other = other, group
            group.extend(other)
            members_of.update(dict.fromkeys(other, group))
    groups = {id(group): group for group in members_of.values()}.values()
    return sorted((sorted(group), min(lowest.get(index, 1.0) for index in group)) for group in groups)
