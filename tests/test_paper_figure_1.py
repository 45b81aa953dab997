"""The picture of figure 1 shows the paper's formula."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import cv2
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.paper_figure_1")


def test_the_curves_are_those_of_the_formula(script: Any) -> None:
    series = script.curves()
    assert [line.name for line in series] == [
        "cross-entropy (gamma = 0)",
        "gamma = 0.5",
        "gamma = 1",
        "gamma = 2",
        "gamma = 5",
    ]
    for line, gamma in zip(series, (0, 0.5, 1, 2, 5), strict=True):
        wanted = [-((1 - p_t) ** gamma) * math.log(p_t) for p_t in line.x]
        assert line.y == pytest.approx(wanted, rel=1e-9)
        assert (min(line.x), max(line.x)) == pytest.approx((0.007, 0.9975))


def test_a_larger_gamma_costs_less_everywhere(script: Any) -> None:
    for upper, lower in zip(script.curves(), script.curves()[1:], strict=False):
        assert all(a > b for a, b in zip(upper.y, lower.y, strict=True))


def test_it_is_drawn(script: Any, tmp_path: Path) -> None:
    script.main(["--output", str(tmp_path / "figure.png")])
    picture = cv2.imread(str(tmp_path / "figure.png"))[..., ::-1]
    for color in script.COLORS:  # each curve and its place in the legend
        rgb = tuple(bytes.fromhex(color[1:]))
        assert (picture == rgb).all(-1).sum() > 300
