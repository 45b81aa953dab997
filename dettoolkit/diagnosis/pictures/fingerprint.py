"""Fingerprint: what is kept of a picture to find the same picture again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dettoolkit.diagnosis.pictures.gray import gray_levels, resized

THUMBNAIL_SIDE = 48

_HASHED_SIDE = 32  # the cosine transform is taken of a square of this side
_FREQUENCIES = 8  # and its lowest 8 x 8 coefficients are kept: 64 bits


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a picture, 2.4 kB: enough to find it again after JPEG compression, resizing or a little more light.

    Two pictures of one kind (a microscope's, a fixed camera's) often agree in nearly all bits of a perceptual hash, so
    the hash only proposes pairs; the thumbnails decide.

    Args:
        digest: of the shape and all pixels: the same pixels have the same digest, whatever file they came from.
        bits: the 64 bits of a perceptual hash, the first coefficient highest: whether a low frequency of the picture's
            cosine transform is above their median.
        thumbnail: gray levels of the picture squeezed into a square, row by row, ``THUMBNAIL_SIDE`` squared bytes.
    """

    digest: bytes
    bits: int
    thumbnail: bytes


def fingerprint(image: Tensor) -> Fingerprint:
    """Return the fingerprint of an image, ``[C, H, W]`` of any numbers, RGB where C is 3.

    The hash is the usual one of the cosine transform ("pHash"), written here since it is four lines: libraries of hashes
    bring SciPy and PyWavelets for it, and have no second step against look-alikes.

    Raises:
        ValueError: the image has another shape or is empty.
    """
    gray = gray_levels(image)
    pixels = hashlib.blake2b(repr((tuple(image.shape), str(image.dtype))).encode(), digest_size=16)
    pixels.update(np.ascontiguousarray(image.numpy()).data)
    return Fingerprint(pixels.digest(), _perceptual_hash(gray), resized(gray, THUMBNAIL_SIDE, THUMBNAIL_SIDE).tobytes())


def _perceptual_hash(gray: NDArray[np.uint8]) -> int:
    coefficients = cv2.dct(resized(gray, _HASHED_SIDE, _HASHED_SIDE).astype(np.float32))[:_FREQUENCIES, :_FREQUENCIES].ravel()
    bits = coefficients > np.median(coefficients[1:])  # the first is the mean brightness, far from all others
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
