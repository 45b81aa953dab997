"""Contact sheets: many small pictures in rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_GAP = 6
_BACKGROUND = 255


def contact_sheet(pictures: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Return one picture with all ``[h, w, 3]`` uint8 pictures in rows of ``columns``.

    Each is as large as its cell allows with its own aspect ratio, and in the middle of it.

    Returns:
        ``[H, W, 3]`` uint8; cells are as high as the highest picture and as wide as the widest.
    """
    columns = min(columns, len(pictures))
    height, width = (max(picture.shape[axis] for picture in pictures) + _GAP for axis in (0, 1))
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * height + _GAP, columns * width + _GAP, 3), _BACKGROUND, np.uint8)
    for index, picture in enumerate(pictures):
        picture = _filling(picture, height - _GAP, width - _GAP)
        h, w = picture.shape[:2]
        top = _GAP + index // columns * height + (height - _GAP - h) // 2
        left = _GAP + index % columns * width + (width - _GAP - w) // 2
        sheet[top : top + h, left : left + w] = picture
    return sheet


def _filling(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the picture enlarged to the height or the width, whichever it reaches first."""
    import cv2

    h, w = picture.shape[:2]
    scale = min(height / h, width / w)
    if scale == 1:
        return picture
    return cv2.resize(picture, (min(width, round(w * scale)), min(height, round(h * scale))), interpolation=cv2.INTER_LINEAR)
