"""How well two pictures agree at each shift, all shifts at once by Fourier transforms, and one shift in detail."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dettoolkit.diagnosis.pictures.gray import local_contrast, resized

Shift = tuple[float, float]  # (dx, dy) as shares of width and height

_COARSE_SIDE = 64
_COARSE_CORRELATION = 0.5  # of what is looked at again; the same scene has 0.7 and more
_SIGMA = {"coarse": 0.05, "fine": 0.03}  # of the blur that is taken off, as a share of the longer side
_LEAST_DETAIL = 0.25  # an overlap is taken to have at least this part of the variance of its picture
_NOISE = 0.05  # and at least this variance: smooth pictures have nothing to agree in
_CHUNK = 32  # pictures correlated with one at once: what a processor's cache holds


class ShiftSearch:
    """Pictures of one size, prepared for correlating each with others at all shifts.

    For pictures f and g of zero mean, and a shift d, the sums over the part that overlaps are cross-correlations: of f with g,
    and of f, g and their squares with a picture of ones. The first is computed for each pair, the others once a picture.

    Args:
        levels: uint8 ``[h, w]`` each, all of one shape.
        min_share: the least part of the area that must overlap.
    """

    def __init__(self, levels: Sequence[NDArray[np.uint8]], min_share: float) -> None:
        pixels = _coarse(levels)
        height, width = pixels.shape[-2:]
        # shifts beyond what may be need no room: there pictures may wrap around into each other
        self.grid = (
            _fast_length(height + int((1 - min_share) * height) + 1),
            _fast_length(width + int((1 - min_share) * width) + 1),
        )
        self.dy, self.dx = (_signed(length) for length in self.grid)
        area = (height - self.dy.abs())[:, None].clamp(min=0) * (width - self.dx.abs())[None, :].clamp(min=0)
        self.allowed = area >= min_share * height * width
        self.size = height, width
        self.spectra = self._spectrum(pixels)
        ones = self._spectrum(torch.ones_like(pixels[:1]))
        squares = self._spectrum(pixels.square())
        floor = pixels.square().mean(dim=(1, 2)).mul(_LEAST_DETAIL).clamp(min=_NOISE)[:, None, None] * area
        area = area.clamp(min=1)
        self.as_first = self._moments(self.spectra * ones.conj(), squares * ones.conj(), area, floor)
        self.as_second = self._moments(ones * self.spectra.conj(), ones * squares.conj(), area, floor)

    def near(self, firsts: ShiftSearch, index: int, start: int) -> Iterator[tuple[int, Shift]]:
        """Yield (place, shift) of the pictures from ``start`` that agree at some shift with picture ``index`` of ``firsts``.

        What is at x in a picture here is at x + shift in that one.
        """
        mean, scale = (moment[index] for moment in firsts.as_first)
        for begin in range(start, len(self.spectra), _CHUNK):
            part = slice(begin, begin + _CHUNK)
            means, scales = (moment[part] for moment in self.as_second)
            correlation = self._inverse(firsts.spectra[index] * self.spectra[part].conj())
            correlation.addcmul_(mean, means, value=-1).mul_(scale).mul_(scales)
            best, places = correlation.masked_fill_(~self.allowed, -1.0).flatten(1).max(dim=1)
            for row in (best >= _COARSE_CORRELATION).nonzero()[:, 0].tolist():
                y, x = divmod(int(places[row]), self.grid[1])
                yield begin + row, (int(self.dx[x]) / self.size[1], int(self.dy[y]) / self.size[0])

    def _spectrum(self, pixels: Tensor) -> Tensor:
        return torch.fft.rfft2(pixels, s=self.grid)

    def _inverse(self, spectra: Tensor) -> Tensor:
        return torch.fft.irfft2(spectra, s=self.grid)

    def _moments(self, sums: Tensor, squares: Tensor, area: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
        """Return (sum over the overlap / sqrt(area), 1 / sqrt(sum of squared deviations)) ``[n, *grid]`` at each shift."""
        total = self._inverse(sums) / area.sqrt()
        deviations = self._inverse(squares) - total.square()
        return total, torch.maximum(deviations, floor.clamp(min=_NOISE)).rsqrt()


def correlation_near(
    first: NDArray[np.uint8], second: NDArray[np.uint8], coarse: Shift, min_share: float
) -> tuple[float, tuple[int, int]]:
    """Return (correlation of the details, (dx, dy) in pixels) of the best shift near a coarse one; -1 where none is allowed.

    Args:
        first: uint8 ``[h, w]``.
        second: the same shape.
        coarse: shift in shares of width and height.
        min_share: the least part of the area that must overlap.
    """
    prepared = _details(first.tobytes(), first.shape), _details(second.tobytes(), second.shape)
    height, width = first.shape
    reach = round(1.2 * max(height, width) / _COARSE_SIDE)
    x, y = round(coarse[0] * width), round(coarse[1] * height)
    best = -1.0, (x, y)
    for dy in range(y - reach, y + reach + 1):
        for dx in range(x - reach, x + reach + 1):
            if (width - abs(dx)) * (height - abs(dy)) >= min_share * width * height and abs(dx) < width and abs(dy) < height:
                best = max(best, (_correlation(*prepared, dx, dy), (dx, dy)))
    return best


_Details = tuple[NDArray[np.float32], float]  # of a picture, and the least variance that an overlap is taken to have


def _correlation(first: _Details, second: _Details, dx: int, dy: int) -> float:
    """Return the correlation where ``first``, and ``second`` moved by (dx, dy), overlap."""
    height, width = first[0].shape
    a = first[0][max(dy, 0) : height + min(dy, 0), max(dx, 0) : width + min(dx, 0)].ravel()
    b = second[0][max(-dy, 0) : height + min(-dy, 0), max(-dx, 0) : width + min(-dx, 0)].ravel()
    a, b = a - a.mean(), b - b.mean()
    norms = [max(float(part @ part), floor * part.size) for part, floor in ((a, first[1]), (b, second[1]))]
    return float(a @ b) / math.sqrt(norms[0] * norms[1])


@lru_cache(maxsize=512)
def _details(levels: bytes, shape: tuple[int, int]) -> _Details:
    details = local_contrast(np.frombuffer(levels, np.uint8).reshape(shape), _SIGMA["fine"] * max(shape))
    return details, max(_NOISE, _LEAST_DETAIL * float(details.var()))


def _coarse(levels: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Return the details of the pictures at a small size, of mean 0: float32 ``[n, h, w]``."""
    height, width = levels[0].shape
    scale = min(1.0, _COARSE_SIDE / max(height, width))
    small = (resized(one, max(1, round(height * scale)), max(1, round(width * scale))) for one in levels)
    details = np.stack([local_contrast(one, _SIGMA["coarse"] * max(one.shape)) for one in small])
    return torch.from_numpy(details - details.mean(axis=(1, 2), keepdims=True))


def _fast_length(length: int) -> int:
    """Return the next length, even, that Fourier transforms are fast at."""
    return 2 * cv2.getOptimalDFTSize((length + 1) // 2)


def _signed(length: int) -> Tensor:
    """Return the shifts in the order of a Fourier transform: 0, 1, ..., -2, -1."""
    return torch.fft.fftfreq(length, d=1 / length).round()
