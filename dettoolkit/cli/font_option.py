"""The option ``--font`` of the commands that draw class names."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from dettoolkit.errors import DataError

if TYPE_CHECKING:
    from dettoolkit.visualization import DrawingStyle


def add_font_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--font``."""
    parser.add_argument(
        "--font", metavar="FILE", help="TrueType file for class names in scripts that the built-in fonts lack (Thai, say)"
    )


def style_with_font(font: str | None) -> DrawingStyle:
    """Return the look of pictures with that font, after a look into its file: before anything is read or written.

    Raises:
        DataError: the file is not a font that can be read.
    """
    from dettoolkit.visualization import DrawingStyle
    from dettoolkit.visualization.lettering import Lettering

    if font is not None:
        try:
            Lettering(16, font).width("a")
        except DataError as error:
            raise DataError(f"--font: {error}") from None
    return DrawingStyle(font=font)
