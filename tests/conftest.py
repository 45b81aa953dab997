"""What all tests share: one thread, and the real data where it is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _few_threads() -> None:
    torch.set_num_threads(1)  # tests are small: more threads only wait for each other


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets, named by ``DETTOOLKIT_DATA``; tests that need it are skipped where it is absent."""
    folder = os.environ.get("DETTOOLKIT_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("the real data sets are not here: set DETTOOLKIT_DATA to their folder")
    return Path(folder)
