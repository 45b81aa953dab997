"""The options that say how often, and how, each image is looked at."""

from __future__ import annotations

import argparse
from typing import Any


def add_view_options(parser: argparse.ArgumentParser) -> None:
    """Declare ``--nms``, and ``--flip``, ``--scales``, ``--tile-size``, ``--tile-overlap`` and ``--merge``."""
    parser.add_argument(
        "--nms", metavar="NMS", help="what removes duplicates: BatchedNMS, ClassAgnosticNMS, SoftNMS, ... (default: as trained)"
    )
    group = parser.add_argument_group(
        "several looks at each image",
        "where left out: as the detector was evaluated, DATASETS.TEST_VIEWS of its config (docs/how-to/test_views.md)",
    )
    group.add_argument("--flip", metavar="WHICH", help="look at mirrored pictures too: none, horizontal, vertical or both")
    group.add_argument("--scales", nargs="+", type=float, metavar="F", help="factors of the configured size, e.g. 0.8 1 1.25")
    group.add_argument(
        "--tile-size",
        type=int,
        metavar="PIXELS",
        help="cut larger images into tiles of this side, in their own pixels; 0: no tiles",
    )
    group.add_argument("--tile-overlap", type=float, metavar="SHARE", help="of a tile that its neighbour shows too, at least")
    group.add_argument("--merge", metavar="NMS", help="what merges their boxes: WeightedBoxFusion, BatchedNMS, SoftNMS, ...")


def chosen_by_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the keys of ``DATASETS.TEST_VIEWS`` that the options of :func:`add_view_options` set."""
    merge = None if arguments.merge is None else {"NAME": arguments.merge}
    given = {
        "FLIP": arguments.flip,
        "SCALES": arguments.scales,
        "TILE_SIZE": arguments.tile_size,
        "TILE_OVERLAP": arguments.tile_overlap,
        "MERGE": merge,
    }
    chosen = {key: value for key, value in given.items() if value is not None}
    return chosen | ({"TILE_SIZE": None} if arguments.tile_size == 0 else {})
