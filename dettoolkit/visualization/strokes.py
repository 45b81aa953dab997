"""Outlines of boxes and ignore regions, drawn into ``[H, W, 3]`` uint8 pictures."""

from __future__ import annotations

import numpy as np

from dettoolkit.visualization.palette import Color


def draw_box(picture: np.ndarray, box: np.ndarray, color: Color, line_width: int) -> None:
    """Draw the outline of an xyxy box; the line runs inside the box, so that nothing outside it changes."""
    left, top, right, bottom = _edges(box, picture.shape)
    thickness = min(line_width, (right - left + 1) // 2, (bottom - top + 1) // 2)
    inner = (slice(top + thickness, bottom - thickness), slice(left + thickness, right - thickness))
    kept = picture[inner].copy()
    picture[top:bottom, left:right] = color
    picture[inner] = kept


def draw_ignore_region(picture: np.ndarray, box: np.ndarray, color: Color, line_width: int) -> None:
    """Draw an xyxy region as a dashed outline with sparse diagonal hatching, all of it inside the region."""
    left, top, right, bottom = _edges(box, picture.shape)
    region = picture[top:bottom, left:right]
    y, x = np.ogrid[: bottom - top, : right - left]
    inside = np.minimum(np.minimum(y, bottom - top - 1 - y), np.minimum(x, right - left - 1 - x)) >= line_width
    dash, hatch = 6 * line_width, 10 * line_width
    dashed = ~inside & ((x + y) % (2 * dash) < dash)
    hatched = inside & ((x + y) % hatch < max(1, line_width // 2))
    region[dashed] = color
    region[hatched] = (0.5 * region[hatched] + 0.5 * np.array(color)).round().astype(np.uint8)


def _edges(box: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the box in whole pixels, at least one pixel wide and high, inside the picture."""
    height, width = shape[:2]
    left, top = min(int(box[0]), width - 1), min(int(box[1]), height - 1)
    right, bottom = int(np.ceil(box[2])), int(np.ceil(box[3]))
    return left, top, min(max(right, left + 1), width), min(max(bottom, top + 1), height)
