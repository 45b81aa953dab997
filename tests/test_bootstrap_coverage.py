"""benchmarks/bootstrap_coverage.py: intervals hold the truth of a population as often as they say."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dettoolkit.evaluation.analysis.average_precision import average_precisions


@pytest.fixture
def coverage(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    return importlib.import_module("benchmarks.bootstrap_coverage")


def scenario_of(coverage: Any, name: str) -> Any:
    return next(scenario for scenario in coverage.SCENARIOS if scenario.name == name)


def shares_of(coverage: Any, name: str, **sizes: int) -> dict[str, float]:
    """The share of draws, in percent, that the default interval of each number held the truth in."""
    rows = coverage.covered(scenario_of(coverage, name), **sizes)
    column = coverage.HEADERS.index("widened")
    return {row[1]: float(row[column].removesuffix(" %")) for row in rows}


def test_the_detectors_of_a_population_are_as_good_as_they_are_called(coverage: Any) -> None:
    aps = {}
    for name in ("weak", "fair", "good"):
        first, second = coverage.populate(scenario_of(coverage, name), 300)
        np.testing.assert_array_equal(first.num_truth, second.num_truth)
        aps[name] = np.nanmean(average_precisions(first))
        assert aps[name] < np.nanmean(average_precisions(second))
        assert len(set(first.label)) == scenario_of(coverage, name).classes
    assert 0.15 < aps["weak"] < 0.35 < aps["fair"] < 0.7 < aps["good"] < 0.9


def test_most_intervals_of_a_few_draws_hold_the_truth(coverage: Any) -> None:
    shares = shares_of(coverage, "one class", num_draws=20, num_images=100, num_replicates=100, num_population=500)
    assert shares.keys() == {"AP", "AP50", "AP of B - A"}
    assert min(shares.values()) >= 75  # of 20 draws at 95 %, fewer than 15 would hold it once in 30,000 times


@pytest.mark.slow
def test_of_200_draws_90_to_99_percent_hold_the_truth(coverage: Any) -> None:
    shares = shares_of(coverage, "fair", num_draws=200, num_images=100, num_replicates=300, num_population=2000)
    assert 90 <= shares["AP"] <= 99
    assert 90 <= shares["AP50"] <= 99
    assert 90 <= shares["AP of B - A"] <= 99
