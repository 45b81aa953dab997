"""Tables of the page as the macro ``grid`` shows them: numbers to read, numbers to sort by, and bars behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        text: what is read.
        value: what is sorted by; None: after all others.
        share: length of the bar behind the text, 0..1; None: no bar.
        interval: (low, high) of the line below the text, 0..1; None: no line.
    """

    text: str
    value: float | str | None
    share: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def style(self) -> str:
        """The bar and the line as properties for the style sheet; empty without."""
        parts = [] if self.share is None else [f"--share:{_percent(self.share)}"]
        if self.interval is not None:
            low, high = self.interval
            # a background's position in percent counts from what it leaves free
            free = 1 - (high - low)
            parts += [f"--place:{_percent(low / free if free > 0 else 0.0)}", f"--length:{_percent(high - low)}"]
        return ";".join(parts)


@dataclass(frozen=True)
class Row:
    """One row.

    Args:
        name: its heading.
        cells: in the order of the columns.
        meaning: in words, under the name; empty: none.
        color: of the swatch before the name; empty: none.
    """

    name: str
    cells: Sequence[Cell]
    meaning: str = ""
    color: str = ""


@dataclass(frozen=True)
class Grid:
    """A table.

    Args:
        caption: what it is of, for those who hear the page and as the title over it.
        first: heading of the first column.
        columns: headings of the others.
        rows: from top to bottom.
        total: the last row, which is not sorted; None: none.
    """

    caption: str
    first: str
    columns: Sequence[str]
    rows: Sequence[Row]
    total: Row | None = None


def metric(value: float | None, bar: bool = True) -> Cell:
    """Return a number in 0..1 with three decimals; None and NaN: ``n/a``."""
    if value is None or math.isnan(value):
        return Cell("n/a", None)
    return Cell(f"{value:.3f}", value, value if bar else None)


def count(value: int) -> Cell:
    """Return a whole number, its thousands apart."""
    return Cell(f"{value:,}", value)


def words(text: str) -> Cell:
    """Return a text, by which is sorted."""
    return Cell(text, text)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
