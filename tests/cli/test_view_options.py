from __future__ import annotations

import argparse
from typing import Any

import pytest

from dettoolkit.cli.view_options import add_view_options, chosen_by_options
from dettoolkit.inference.merging import chosen_views

STORED = {
    "FLIP": "horizontal",
    "SCALES": [1.0, 1.25],
    "TILE_SIZE": 640,
    "TILE_OVERLAP": 0.2,
    "WHOLE_IMAGE": True,
    "MERGE": {"NAME": "BatchedNMS", "IOU_THRESHOLD": 0.5},
}


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        ("", {}),
        ("--flip none --scales 1 --tile-size 0", {"FLIP": "none", "SCALES": [1.0], "TILE_SIZE": None}),
        ("--tile-size 512 --tile-overlap 0", {"TILE_SIZE": 512, "TILE_OVERLAP": 0.0}),
        ("--merge ClassAgnosticNMS", {"MERGE": {"NAME": "ClassAgnosticNMS", "IOU_THRESHOLD": 0.5}}),
    ],
)
def test_options_change_what_the_checkpoint_says_and_nothing_else(options: str, changed: dict[str, Any]) -> None:
    parser = argparse.ArgumentParser()
    add_view_options(parser)
    chosen = chosen_by_options(parser.parse_args(options.split()))
    assert chosen_views(STORED, chosen) == {**STORED, **changed}
