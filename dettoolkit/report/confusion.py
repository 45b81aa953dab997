"""The confusion matrix on the page: a heat map of few classes, and a list of what is confused most of many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dettoolkit.evaluation.analysis import ConfusionMatrix, DetectionAnalysis
from dettoolkit.report.grid import Cell, Grid, Row, count, words

_MANY_CLASSES = 12  # from which on nobody reads a matrix, and the list comes first
_MOST_PAIRS = 30
_BACKGROUND = "background"


@dataclass(frozen=True)
class HeatCell:
    """One cell of the matrix.

    Args:
        text: the count; empty for none.
        share: of its row, 0..1; of its column in the row of background, whose own sum says nothing.
        title: the same in words.
        is_right: whether it is on the diagonal.
    """

    text: str
    share: float
    title: str
    is_right: bool


@dataclass(frozen=True)
class ConfusionSection:
    """What the template shows.

    Args:
        columns: heading of each column: K classes and background.
        rows: heading and cells of each row: what is there.
        pairs: the most confused pairs of classes.
        is_large: whether there are many classes.
    """

    columns: list[str]
    rows: list[tuple[str, list[HeatCell]]]
    pairs: Grid
    is_large: bool


def confusion_section(analysis: DetectionAnalysis | None) -> ConfusionSection | None:
    """Return the section, or None without an analysis or anything to count."""
    if analysis is None or not analysis.confusion.counts.any():
        return None
    names = [*analysis.class_names, _BACKGROUND]
    matrix = analysis.confusion
    shares = np.nan_to_num(matrix.by_truth)
    shares[-1] = np.nan_to_num(matrix.by_detection)[-1]
    rows = [
        (name, [_cell(matrix, shares, names, there, found) for found in range(len(names))]) for there, name in enumerate(names)
    ]
    return ConfusionSection(names, rows, _pairs(matrix, names), len(names) > _MANY_CLASSES)


def _cell(matrix: ConfusionMatrix, shares: np.ndarray, names: list[str], there: int, found: int) -> HeatCell:
    number, share, last = int(matrix.counts[there, found]), float(shares[there, found]), len(names) - 1
    if not number:
        return HeatCell("", 0.0, "", False)
    if there == last:
        title = f"{number:,} of what was found as {names[found]} is where nothing is: {100 * share:.1f} %"
    elif found == last:
        title = f"{number:,} of {names[there]} not found: {100 * share:.1f} %"
    else:
        title = f"{number:,} of {names[there]} found as {names[found]}: {100 * share:.1f} %"
    return HeatCell(f"{number:,}", share, title, there == found)


def _pairs(matrix: ConfusionMatrix, names: list[str]) -> Grid:
    """Return what stands off the diagonal, the most frequent first, without background."""
    num_classes = len(names) - 1
    counts = matrix.counts[:num_classes, :num_classes].copy()
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:_MOST_PAIRS]
    shares = np.nan_to_num(matrix.by_truth)
    rows = []
    for there, found in zip(*np.unravel_index(order, counts.shape), strict=True):
        number, share = int(counts[there, found]), float(shares[there, found])
        if number:
            part = Cell(f"{100 * share:.1f} %", share, share)
            rows.append(Row(names[there], [words(names[found]), count(number), part]))
    return Grid("Classes taken for each other most", "There is", ("found as", "Count", "of the class"), rows)
