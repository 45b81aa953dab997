"""What is left out of a config is what would be there without being said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dettoolkit.config import config_files, load_config
from dettoolkit.config.pruning import without_defaults
from dettoolkit.config.run_keys import RUN_SCHEMA
from dettoolkit.config.yaml_reader import dump, plain


@pytest.mark.parametrize("name", config_files())
def test_a_complete_config_loads_again_from_what_differs(write: Callable[..., str], name: str) -> None:
    complete = load_config(name)
    short = dump(without_defaults(plain(complete), RUN_SCHEMA), compact=True)
    assert load_config(write(short)) == complete
    assert len(short) < len(dump(plain(complete))) / 2


def test_a_config_of_defaults_alone_is_empty(write: Callable[..., str]) -> None:
    assert without_defaults(plain(load_config(write(""))), RUN_SCHEMA) == {}


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        ({"MODEL": {"NECK": {"NAME": "FPN", "OUT_CHANNELS": 256}}}, {}),
        ({"MODEL": {"NECK": {"NAME": "FPN", "OUT_CHANNELS": 64}}}, {"MODEL": {"NECK": {"NAME": "FPN", "OUT_CHANNELS": 64}}}),
        ({"MODEL": {"NECK": {"NAME": "FPN", "LEVELS": [3, 7]}}}, {}),  # the default is a tuple
        ({"SOLVER": {"OPTIMIZER": {"NAME": "AdamW", "WEIGHT_DECAY": 0.05}}}, {"SOLVER": {"OPTIMIZER": {"NAME": "AdamW"}}}),
        ({"MODEL": {"LOSSES": {"REGRESSION": [{"NAME": "SmoothL1Loss", "BETA": 0.1}]}}}, {}),
        (
            {"MODEL": {"LOSSES": {"REGRESSION": [{"NAME": "GIoULoss"}]}}},
            {"MODEL": {"LOSSES": {"REGRESSION": {"NAME": "GIoULoss"}}}},
        ),
        ({"DATASETS": {"TEST_TRANSFORMS": []}}, {"DATASETS": {"TEST_TRANSFORMS": []}}),
        ({"SEED": 0, "OUTPUT_DIR": None}, {}),
    ],
)
def test_nodes(data: dict, kept: dict) -> None:
    assert without_defaults(data, RUN_SCHEMA) == kept
