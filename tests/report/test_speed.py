"""Where the time goes, as the page shows it."""

from __future__ import annotations

from dettoolkit.report import EvaluationTime
from dettoolkit.report.speed import speed_section


def test_nothing_measured_is_no_section() -> None:
    assert speed_section(None, [{"iteration": 1, "loss": 1.0}], 8) is None
    assert speed_section(EvaluationTime("set", "cpu", 0, {}), [], 8) is None


def test_an_evaluation_is_shown_by_image_and_adds_up() -> None:
    section = speed_section(EvaluationTime("set", "cpu", 50, {"waiting for data": 1.0, "network": 4.0}), [], None)
    assert section
    assert section.evaluation
    rows = [*section.evaluation.rows, section.evaluation.total]
    # 1 s and 4 s for 50 images are 20 ms and 80 ms each
    assert [(row.name, *(cell.text for cell in row.cells)) for row in rows if row] == [
        ("waiting for data", "20.00", "20.0 %"),
        ("network", "80.00", "80.0 %"),
        ("all", "100.00", "100.0 %"),
    ]
    assert section.evaluated == "50 images of set on cpu: 10.0 images a second."
    assert section.training == {}


def test_a_training_is_told_by_its_median_step() -> None:
    steps = [
        {"iteration": 1, "time": 9.0, "data_time": 5.0},
        *({"iteration": n, "time": 0.5, "data_time": 0.05} for n in (2, 3)),
    ]
    section = speed_section(None, [*steps, {"iteration": 3, "bbox/AP": 0.5}, {"iteration": 4, "time": None}], 16)
    assert section
    assert section.evaluation is None
    assert {name: value for name, (value, _) in section.training.items()} == {
        "Step": "0.500 s",
        "Waiting for data": "10.0 %",
        "Images a second": "32.0",
    }
    unknown = speed_section(None, steps, None)
    assert unknown
    assert "Images a second" not in unknown.training
