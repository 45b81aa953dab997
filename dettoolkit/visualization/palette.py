"""Colours: one for each class, the same in every picture, page and run."""

from __future__ import annotations

import functools

import numpy as np

Color = tuple[int, int, int]

_NUM_COLORS = 256
_FIRST_COLOR = (255, 59, 48)  # a red that few photographs are full of; every further colour follows from it


def class_color(label: int) -> Color:
    """Return the RGB colour of class ``label``.

    It depends on nothing but the label. The first colours are the farthest apart, so that small sets get the clearest ones;
    they repeat after 256 classes.
    """
    return _colors()[label % _NUM_COLORS]


def text_color(background: Color) -> Color:
    """Return black or white, whichever has the higher contrast ratio (WCAG 2.2) on ``background``."""
    luminance = float(_linear(np.array(background)) @ (0.2126, 0.7152, 0.0722))
    return (0, 0, 0) if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else (255, 255, 255)


def hex_color(color: Color) -> str:
    """Return the colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*color)


@functools.cache
def _colors() -> list[Color]:
    """Pick colours one by one, each the farthest from those before it in Oklab, where distance is what the eye sees."""
    channel = np.linspace(0, 255, 18).round()
    grid = np.stack(np.meshgrid(channel, channel, channel, indexing="ij"), axis=-1).reshape(-1, 3)
    oklab = _oklab(grid)
    lightness, chroma = oklab[:, 0], np.hypot(oklab[:, 1], oklab[:, 2])
    vivid = (lightness > 0.52) & (lightness < 0.86) & (chroma > 0.1) & (chroma < 0.23)  # plain on any picture, not glaring
    candidates, oklab = grid[vivid], oklab[vivid]
    colors = [_FIRST_COLOR]
    distance = np.linalg.norm(oklab - _oklab(np.array(_FIRST_COLOR)), axis=1)
    while len(colors) < _NUM_COLORS:
        farthest = int(distance.argmax())
        red, green, blue = (int(value) for value in candidates[farthest])
        colors.append((red, green, blue))
        distance = np.minimum(distance, np.linalg.norm(oklab - oklab[farthest], axis=1))
    return colors


def _linear(rgb: np.ndarray) -> np.ndarray:
    """Return linear light 0..1 of sRGB values 0..255 (IEC 61966-2-1)."""
    rgb = rgb / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _oklab(rgb: np.ndarray) -> np.ndarray:
    """Return Oklab coordinates ``[..., 3]`` of sRGB values ``[..., 3]`` in 0..255 (Ottosson 2020)."""
    cones = _linear(rgb) @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    return np.cbrt(cones) @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )
