"""AP of parts of the objects: by size, shape, crowding and place in the picture."""

from __future__ import annotations

from dettoolkit.evaluation.analysis import DetectionAnalysis
from dettoolkit.report.grid import Grid, Row, count, metric

_TITLES = {
    "size": "Size",
    "relative size": "Size in the picture",
    "aspect ratio": "Shape",
    "crowding": "Crowding",
    "border": "Place in the picture",
}


def slice_grids(analysis: DetectionAnalysis | None) -> list[Grid]:
    """Return a table for each way to part the objects; none without an analysis."""
    if analysis is None:
        return []
    return [
        Grid(
            _TITLES.get(name, name),
            "Objects",
            ("AP", "AP50", "Recall", "Count"),
            [
                Row(part.name, [metric(part.ap), metric(part.ap50), metric(part.recall), count(part.num_truth)], part.meaning)
                for part in parts
            ],
        )
        for name, parts in analysis.slices.items()
    ]
