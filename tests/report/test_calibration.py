"""What the page advises about scores."""

from __future__ import annotations

import numpy as np

from dettoolkit.evaluation.analysis import Calibration, ReliabilityCurve
from dettoolkit.report.calibration import advice, calibration_section


def _curve(confidence: float, precision: float) -> ReliabilityCurve:
    """One bin: its error is the distance of both."""
    return ReliabilityCurve(np.array([0.0, 1.0]), np.array([10]), np.array([confidence]), np.array([precision]))


def _calibration(before: tuple[float, float], after: tuple[float, float], temperature: float = 2.0) -> Calibration:
    return Calibration(_curve(*before), _curve(*after), temperature, 1.0, 0.5, np.array([0.25, np.nan]))


def test_scores_that_are_right_are_left_alone() -> None:
    assert advice(_calibration((0.8, 0.79), (0.8, 0.79))).startswith("Scores can be read as probabilities as they are")


def test_a_temperature_that_helps_is_recommended_with_what_it_brings() -> None:
    text = advice(_calibration((0.9, 0.6), (0.62, 0.6)))
    assert "off by 0.30 in the mean, and on the whole promise too much" in text
    assert "divide their logits by 2.00, which draws them towards 0.5: that brings the error to 0.020" in text
    assert "away from 0.5" in advice(_calibration((0.6, 0.9), (0.88, 0.9), temperature=0.5))
    assert "promise too little" in advice(_calibration((0.6, 0.9), (0.88, 0.9), temperature=0.5))


def test_a_temperature_that_does_not_help_is_not_recommended() -> None:
    assert "No single temperature mends that" in advice(_calibration((0.9, 0.6), (0.8, 0.6)))  # 0.2 is more than half of 0.3
    assert "No single temperature mends that" in advice(_calibration((0.9, 0.6), (0.6, 0.6), temperature=20.0))  # at the end


def test_a_class_without_detections_has_no_error() -> None:
    section = calibration_section(_calibration((0.9, 0.6), (0.6, 0.6)), ["cat", "dog"])
    assert section
    assert [row.cells[0].text for row in section.by_class.rows] == ["0.250", "n/a"]
    assert calibration_section(None, ["cat"]) is None
