"""A page with a gallery that has every kind of box, and a browser that shows it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dettoolkit.evaluation.analysis import DetectionAnalysis, analyse
from dettoolkit.report import ReportData, write_report
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

Browse = Any  # of the folder above
NAMES = ["cat", "dog", "<b>bird</b>"]
ODD = {0: "<img src=x onerror=alert(1)>.jpg", 1: "half \ud800 and bell \x07.jpg", 2: "50%41 of it.jpg"}


def _scene(number: int, generator: torch.Generator) -> EvaluatedImage:
    """Objects, detections near them of the right and other classes, some elsewhere; scores at and between hundredths."""
    count = 3 + number % 7
    corner = torch.rand(count, 2, generator=generator) * 200
    truth = Annotations(torch.cat([corner, corner + 50], 1), torch.arange(count) % 3, torch.arange(count) % 9 == 8)
    corners = corner.repeat(3, 1) + torch.randn(3 * count, 2, generator=generator) * 12
    boxes = torch.cat([corners, corners + 50], 1)
    labels = torch.where(torch.rand(3 * count, generator=generator) < 0.75, truth.labels.repeat(3), torch.arange(3 * count) % 3)
    scores = torch.rand(3 * count, generator=generator)
    scores[::2] = (scores[::2] * 100).round() / 100
    order = scores.argsort(descending=True)
    found = Detections(boxes[order], scores[order], labels[order])
    return EvaluatedImage(number, ODD.get(number, f"set/{number:03d}.jpg"), (280, 300 + number), truth, found)


@pytest.fixture(scope="module")
def scenes() -> list[EvaluatedImage]:
    generator = torch.Generator().manual_seed(2)
    return [_scene(number, generator) for number in range(60)]


@pytest.fixture(scope="module")
def analysis(scenes: list[EvaluatedImage]) -> DetectionAnalysis:
    return analyse(scenes, NAMES)


def _read(image_id: int) -> torch.Tensor:
    if image_id == 3:
        raise OSError("<i>no</i> such disk")
    return torch.full((3, 280, 300 + image_id), 40 + 3 * image_id, dtype=torch.uint8)


@pytest.fixture(scope="module")
def address(scenes: list[EvaluatedImage], analysis: DetectionAnalysis, tmp_path_factory: pytest.TempPathFactory) -> str:
    data = ReportData("a run", NAMES, images=scenes, analysis=analysis)
    return write_report(tmp_path_factory.mktemp("run"), data, _read).as_uri()


@pytest.fixture(scope="module")
def started(browse: Browse, address: str) -> Any:
    browser = browse()
    browser.open(address)
    return browser


@pytest.fixture
def browser(started: Any, address: str) -> Any:
    """The page as it is when it is opened."""
    started.complaints.clear()
    started.open("about:blank")
    started.open(address)
    yield started
    assert started.complaints == []
