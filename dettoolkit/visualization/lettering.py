"""Lettering: text on pictures, in any script that OpenCV's own fonts or the Arabic one beside this file can draw."""

from __future__ import annotations

import functools
import logging
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from dettoolkit.errors import DataError, MissingDependencyError
from dettoolkit.visualization.palette import Color
from dettoolkit.visualization.writing_direction import is_right_to_left, visual_order

_WEIGHT = 500  # of 100..1000: a little stronger than regular, for small sizes on coloured ground
_ARABIC_FONT = resources.files("dettoolkit.visualization") / "fonts" / "DejaVuSansArabic.ttf"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lettering:
    """Text of one size.

    Args:
        size: of the font in pixels; a line is about 1.3 times as high.
        font: a TrueType file to take first, for scripts that the built-in fonts lack (Devanagari or Thai, say). Where it
            lacks a character, the built-in fonts are asked.

    Raises:
        DataError: ``font`` is not a font that can be read.
    """

    size: int
    font: str | None = None

    @property
    def line_height(self) -> int:
        """The height of a label in pixels: the letters, their descenders and a margin."""
        return round(1.36 * self.size)

    @property
    def margin(self) -> int:
        """What is left free left and right of a label's text, in pixels."""
        return max(1, self.size // 4)

    def width(self, text: str) -> int:
        """Return the width of a label with this text in pixels, margins included."""
        import cv2

        _, _, width, _ = cv2.getTextSize((0, 0), visual_order(text), (0, 0), self._face(text), self.size, _WEIGHT)
        return int(width) + 2 * self.margin

    def fit(self, text: str, width: int, ending: str = "") -> str:
        """Return text and ending, or the longest beginning of the text that fits ``width`` pixels with "…" and the ending.

        Where not even that fits: the ending alone, without the spaces around it; where that does not fit either, nothing.
        """
        if self.width(text + ending) <= width:
            return text + ending
        shortened = (text[:length].rstrip() + "…" + ending for length in range(len(text) - 1, 0, -1))
        return next((short for short in (*shortened, ending.strip()) if short and self.width(short) <= width), "")

    def write(self, picture: np.ndarray, text: str, left: int, top: int, color: Color) -> None:
        """Write a label's text into ``[H, W, 3]`` uint8; (left, top) is the corner of the label, not of its text."""
        import cv2

        shown = visual_order(text)
        for character in shown:
            _warn_if_missing(character, self.font)
        baseline = top + round(1.04 * self.size)
        cv2.putText(picture, shown, (left + self.margin, baseline), color, self._face(text), self.size, _WEIGHT)

    def _face(self, text: str) -> Any:
        return _font_face(self.font or ("arabic" if is_right_to_left(text) else "sans"))


@functools.cache
def _font_face(name: str) -> Any:
    """Return OpenCV's built-in font (``sans``), ours (``arabic``), or the one in a file."""
    import cv2
    from PIL import ImageFont

    if not hasattr(cv2, "FontFace"):
        raise MissingDependencyError(
            f"class names need the text drawing of opencv-python-headless 5, found {cv2.__version__}: "
            "pip install -U opencv-python-headless"
        )
    if name == "sans":
        return cv2.FontFace("sans")
    with ExitStack() as stack:
        path = stack.enter_context(resources.as_file(_ARABIC_FONT)) if name == "arabic" else Path(name)
        try:
            ImageFont.truetype(path)  # OpenCV 5.0 crashes on a file that is not a font
        except OSError as error:
            raise DataError(f"{path}: expected a TrueType font, got a file that cannot be read as one ({error})") from None
        return cv2.FontFace(str(path))


@functools.cache
def _warn_if_missing(character: str, font: str | None) -> None:
    """Log, once a character, that OpenCV draws a question mark for it."""
    face = Lettering(24, font)._face(character)
    if character != "?" and np.array_equal(_glyph(character, face), _glyph("?", face)):
        _logger.warning(
            "%s has %s (U+%04X), a question mark is drawn for it; name a TrueType file that has it: the commands' "
            "option --font FILE, or DrawingStyle(font=...)",
            "no built-in font" if font is None else f"neither {font} nor a built-in font",
            character,
            ord(character),
        )


def _glyph(character: str, face: Any) -> np.ndarray:
    import cv2

    picture = np.zeros((40, 60, 3), np.uint8)
    cv2.putText(picture, character, (5, 30), (255, 255, 255), face, 24, _WEIGHT)
    return picture
