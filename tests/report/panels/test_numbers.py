"""Every number on the page is one of the analysis: tables are read back and compared with analysis.json's data."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dettoolkit.report import ReportData
from dettoolkit.report.errors import MEANINGS

ReadPage = Callable[..., Any]


def _number(text: str) -> float:
    return float(text.replace(",", "").replace(" %", ""))


def test_accuracy_has_the_values_and_intervals_of_the_bootstrap(full: ReportData, read_page: ReadPage) -> None:
    page = read_page(full)
    intervals = full.intervals["set"]
    rows = page.rows("accuracy", "By class")
    assert page.tables["accuracy"]["By class"][0] == ["Class", "AP", "95 % interval", "AP50", "95 % interval"]
    for name, ap, ap50 in zip(full.class_names, intervals.ap_by_class, intervals.ap50_by_class, strict=True):
        texts = [f"{one.value:.3f} {one.low:.3f} to {one.high:.3f}" for one in (ap, ap50)]
        assert " ".join(rows[name]) == " ".join(texts)
    summary = page.texts["summary"]
    for one in (intervals.ap, intervals.ap50):
        assert f"{one.value:.3f}" in summary
        assert f"{one.low:.3f} to {one.high:.3f}" in summary


def test_an_interval_of_another_number_is_not_shown(full: ReportData, read_page: ReadPage) -> None:
    # as with VOC's rules, whose AP is another
    full.results["set"]["bbox"]["AP"] += 0.001  # type: ignore[index]
    page = read_page(full)
    assert page.tables["accuracy"]["By class"][0] == ["Class", "AP", "AP50"]
    assert "Ranges are" not in page.texts["summary"]


def test_error_costs_and_counts_are_those_of_the_analysis(full: ReportData, read_page: ReadPage) -> None:
    assert full.analysis
    page, told = read_page(full), full.analysis.error_costs.to_dict(full.analysis.class_names)
    rows = page.rows("errors", "Errors by type")
    for name, meaning in MEANINGS.items():
        cost, count = rows[name + meaning]
        assert (cost, _number(count)) == (f"{told['types'][name]['ap_cost']:.4f}", told["types"][name]["count"])
    costs = [_number(cells[0]) for cells in rows.values()][:6]
    assert costs == sorted(costs, reverse=True)
    assert f"{told['false_positive_ap_cost']:.4f}" in page.texts["errors"]
    assert f"{told['false_negative_ap_cost']:.4f}" in page.texts["errors"]
    by_class = page.rows("errors", "AP50 lost by class, and the count of errors")
    for name, types in told["classes"].items():
        assert by_class[name] == [f"{types[kind]['ap_cost']:.4f} ({types[kind]['count']})" for kind in MEANINGS]


def test_slices_are_those_of_the_analysis(full: ReportData, read_page: ReadPage) -> None:
    assert full.analysis
    page = read_page(full)
    tables = list(page.tables["slices"].values())
    assert len(tables) == len(full.analysis.slices)
    for table, parts in zip(tables, full.analysis.slices.values(), strict=True):
        for row, part in zip(table[1:], parts, strict=True):
            numbers = ["n/a" if value is None else f"{value:.3f}" for value in (part.ap, part.ap50, part.recall)]
            assert row == [part.name + part.meaning, *numbers, f"{part.num_truth}"]


def test_the_confusion_matrix_has_all_counts(full: ReportData, read_page: ReadPage) -> None:
    assert full.analysis
    page = read_page(full)
    head, *rows = page.tables["confusion"]["Confusion matrix"]
    assert head == ["there is", *full.class_names, "background"]
    assert [row[0] for row in rows] == [*full.class_names, "background"]
    counts = np.array([[_number(text or "0") for text in row[1:]] for row in rows])
    assert (counts == full.analysis.confusion.counts).all()


def test_cells_are_as_deep_as_their_share(full: ReportData, read_page: ReadPage) -> None:
    assert full.analysis
    counts = full.analysis.confusion.counts
    page = read_page(full)
    heats = [float(share) for share in re.findall(r"--heat:([\d.]+)%", page.html)]
    shares = counts / counts.sum(axis=1, keepdims=True)
    shares[-1] = counts[-1] / counts.sum(axis=0)  # of background: part of what was found as that class
    assert heats == pytest.approx((100 * shares)[counts > 0].tolist(), abs=0.051)


def test_thresholds_are_the_operating_points(full: ReportData, read_page: ReadPage) -> None:
    assert full.analysis
    rows = read_page(full).rows("scores", "Thresholds by class")
    for name, point in zip(full.class_names, full.analysis.operating_points, strict=True):
        metrics = [f"{value:.3f}" for value in (point.threshold, point.precision, point.recall, point.f1) if value is not None]
        assert rows[name] == [*metrics, str(point.true_positives), str(point.false_positives), str(point.misses)]


def test_the_marks_on_the_curves_are_the_operating_points(full: ReportData, read_page: ReadPage) -> None:
    assert full.analysis
    figure = re.search(r"<figcaption>Precision and recall</figcaption>.*?</figure>", read_page(full).html, re.DOTALL)
    assert figure
    marks = re.findall(r'class="mark" cx="([\d.]+)" cy="([\d.]+)"', figure[0])
    # 440 x 300 with margins 60, 12, 12, 38: recall 0..1 is x 60..428, precision 0..1 is y 262..12
    points = [(60 + 368 * (one.recall or 0), 262 - 250 * (one.precision or 0)) for one in full.analysis.operating_points]
    assert [float(x) for x, _ in marks] == pytest.approx([x for x, _ in points], abs=0.051)
    assert [float(y) for _, y in marks] == pytest.approx([y for _, y in points], abs=0.051)


def test_calibration_is_that_given(full: ReportData, read_page: ReadPage) -> None:
    calibration = full.calibration
    assert calibration
    page = read_page(full)
    for value in (calibration.before.error, calibration.after.error):
        assert f"{value:.3f}" in page.texts["calibration"]
    assert f"{calibration.temperature:.2f}" in page.texts["calibration"]
    rows = page.rows("calibration", "ECE by class")
    assert [rows[name] for name in full.class_names] == [[f"{error:.3f}"] for error in calibration.error_by_class]


def test_suspects_come_in_the_order_of_the_analysis_each_with_picture_and_reason(full: ReportData, read_page: ReadPage) -> None:
    assert full.analysis
    suspects = full.analysis.label_suspects
    assert suspects
    page = read_page(full)
    text, place = page.texts["suspects"], 0
    for rank, suspect in enumerate(suspects, start=1):
        place = text.index(suspect.reason, text.index(f"{rank}. probably", place))
    assert len(page.pictures) == len(suspects)
    assert all(picture.startswith("data:image/jpeg;base64,") for picture in page.pictures)
    assert [link for link in page.links if link.startswith("#image=")] == [
        "#image=" + suspect.file_name.replace(" ", "%20") for suspect in suspects
    ]
