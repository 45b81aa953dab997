"""The page in a browser, where there is one: its script runs and counts what Python counts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from dettoolkit.report import ReportData, write_report
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--virtual-time-budget=2000", "--dump-dom"]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_the_gallery_counts_right_missed_and_false_boxes(tmp_path: Path) -> None:
    assert BROWSER
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0], [40.0, 0.0, 50.0, 10.0]])
    truth = Annotations(boxes, torch.tensor([0, 0, 1]), torch.zeros(3, dtype=torch.bool))
    elsewhere = torch.tensor([[70.0, 70.0, 80.0, 80.0]])
    # at 0.5: the first box is found, the second (0.4) and the third are missed, one detection elsewhere is false
    found = Detections(torch.cat([boxes[:2], elsewhere]), torch.tensor([0.9, 0.4, 0.6]), torch.tensor([0, 0, 1]))
    image = EvaluatedImage(1, "<b>name</b>", (100, 100), truth, found)
    page = write_report(
        tmp_path, ReportData("run", ["a", "b"], images=[image]), lambda _: torch.zeros(3, 100, 100, dtype=torch.uint8)
    )
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert "Images: 1. Boxes right: 1, missed: 2, false: 1." in dom
    assert "&lt;b&gt;name&lt;/b&gt;" in dom
    assert dom.count('class="missed"') == 2 + 1  # and the key
