"""The section on who has the classification loss."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dettoolkit.evaluation.analysis import FocalDistribution, FocalDistributionCollector
from dettoolkit.evaluation.analysis.logit_histogram import NUM_BINS
from dettoolkit.report import ReportData, write_report
from dettoolkit.report.focal_loss import focal_section, reading_of
from dettoolkit.visualization import class_color, hex_color

LOOK = {
    "iteration": 40,
    "focal/positive_share": 0.75,
    "focal/positives": 120,
    "focal/P3/positive_share": 0.5,
    "focal/P4/positive_share": 0.875,
    "focal/P4/effective_negatives": 1234.5,
    "focal/positives-dog": 1200,
    "focal/positive_share-dog": 0.625,
    "focal/positives-a/b": 3,
    "focal/share-dog": None,
}


def _distribution(positives: bool = True) -> FocalDistribution:
    generator = torch.Generator().manual_seed(5)
    collector = FocalDistributionCollector()
    labels = torch.full((1, 5000), -1)
    labels[0, :50] = 0 if positives else -1
    logits = 2 * torch.randn(1, 5000, 1, generator=generator) - 5
    logits[0, :50] += 6
    collector([logits], [labels], [torch.zeros(())])
    return collector.distribution()


def _page(folder: Path, **data: Any) -> str:
    path = write_report(folder, ReportData("A run", ["cat", "dog"], **data), lambda _: torch.zeros(3, 9, 9, dtype=torch.uint8))
    return path.read_text(encoding="utf-8")


def _picture(folder: Path) -> np.ndarray:
    with Image.open(folder / "report/focal_loss.png") as image:
        return np.asarray(image.convert("RGB"))


def test_the_page_shows_both_sides_for_each_gamma_and_reads_them(tmp_path: Path) -> None:
    html = _page(tmp_path, focal=_distribution())
    assert '<a href="#loss">' in html
    for side in ("positives", "negatives"):
        (figure,) = re.findall(rf"<figcaption>Focal loss of the {side}</figcaption>.*?</figure>", html, re.DOTALL)
        assert re.findall(r'<g data-series="([^"]+)"', figure) == [f"gamma = {gamma}" for gamma in ("0", "0.5", "1", "2")]
        for path in re.findall(r'<path d="M(\S+) (\S+)L[^"]*?L(\S+) (\S+)" fill="none"', figure):
            assert path == ("60.0", "282.0", "428.0", "12.0")  # each curve goes from corner to corner
    assert reading_of(_distribution()) in html


def test_the_reading_has_the_numbers_of_the_curves() -> None:
    # two outputs in bins of very unequal loss: the harder one has nearly all, so half of it is in half of the 1 of 100 samples
    counts = np.zeros((2, NUM_BINS))
    counts[0, [0, NUM_BINS // 2]] = 990, 10
    counts[1, NUM_BINS // 2] = 1000  # all alike: half of the loss in half of them
    assert reading_of(FocalDistribution(counts)).startswith(
        "With gamma = 2, half of the loss of the positives comes from the hardest 50 % of them (with gamma = 0: 50 %), and "
        "half of the loss of the negatives comes from the hardest 0.50 % of them (with gamma = 0: 0.50 %). "
    )
    assert "here 1,000 positives and 1,000 negatives" in reading_of(FocalDistribution(counts))


def test_a_set_without_positives_has_one_chart(tmp_path: Path) -> None:
    html = _page(tmp_path, focal=_distribution(positives=False))
    assert "Focal loss of the negatives" in html
    assert "Focal loss of the positives" not in html
    assert "half of the loss of the positives" not in html
    assert _picture(tmp_path).shape[1] == 880


def test_the_charts_are_a_picture_beside_the_page(tmp_path: Path) -> None:
    _page(tmp_path, focal=_distribution())
    picture = _picture(tmp_path)
    assert picture.shape[1] == 2 * 880
    for color in ((0xE0, 0x64, 0x1B), (0x8B, 0x93, 0xA1)):  # gamma = 2 and 0
        assert (picture == color).all(axis=2).any()


def test_what_the_microscope_saw_is_shown_by_level_and_by_class(tmp_path: Path) -> None:
    html = _page(
        tmp_path, history=[{"iteration": 20, "loss": 1.0, "focal/positive_share": 0.5}, LOOK, {"iteration": 60, "loss": 0.5}]
    )
    (figure,) = re.findall(r"<figcaption>Positives&#39; part of the loss</figcaption>.*?</figure>", html, re.DOTALL)
    assert re.findall(r'<g data-series="([^"]+)"', figure) == ["all levels", "P3", "P4"]
    assert "What the focal microscope saw" in html
    assert "at its last look (iteration 40)" in html
    dog = hex_color(class_color(1))
    row = re.search(rf'<i class="swatch" style="--color:{dog}"></i>dog</th>(.*?)</tr>', html, re.DOTALL)
    assert row
    assert re.findall(r">([^<]+)</td>", row[1]) == ["0.625", "1,200"]
    assert 'style="--share:62.5%"' in row[1]
    assert ">a/b</th>" in html


@pytest.mark.parametrize("history", [[], [{"iteration": 20, "loss": 1.0}]])
def test_without_either_there_is_no_section(tmp_path: Path, history: list[Any]) -> None:
    assert focal_section(None, history) is None
    html = _page(tmp_path, history=history)
    assert "#loss" not in html
    assert not (tmp_path / "report/focal_loss.png").exists()
