"""Tests of pages have a browser, where there is one."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def browse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Start a browser, with the arguments of ``benchmarks.chromium.Chromium`` but for its profile; all end with the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2]))
        chromium = importlib.import_module("benchmarks.chromium")
    if chromium.BROWSER is None:
        pytest.skip("no Chromium here")
    with contextlib.ExitStack() as stack:
        yield lambda **options: stack.enter_context(chromium.Chromium(tmp_path_factory.mktemp("profile"), **options))
