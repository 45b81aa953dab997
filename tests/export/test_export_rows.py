"""The benchmark of exported forms, on the small detector."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dettoolkit.inference.stored_detector import StoredDetector


def test_all_forms_find_the_same(
    exported: Callable[[str, str], Any], stored: StoredDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    rows = importlib.import_module("benchmarks.speed.export_rows")
    monkeypatch.setattr(rows, "SIZE", (96, 160))
    monkeypatch.setattr(rows, "stored_detector", lambda: stored)
    monkeypatch.setattr(rows, "_torchvisions", lambda *_: torch.nn.Identity())
    monkeypatch.setattr(rows, "write_unverified", lambda _, path, form: shutil.copy(exported(form, "inside")[0], path))
    (row,) = rows.export_forms(torch.device("cpu"))
    assert list(row.contestants) == ["onnx", "torch_export", "eager", "torchvision"]
    assert row.difference() <= row.tolerance == 1e-3
    assert all(len(row.contestants[name]()[0]) > 5 for name in ("onnx", "torch_export", "eager"))
