"""Evaluations of which little is there, or much, and names that are no plain text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dettoolkit.errors import DataError
from dettoolkit.evaluation.analysis import Slice
from dettoolkit.report import AnchorData, FindingsData, ReportData
from dettoolkit.structures import Annotations, Detections, EvaluatedImage, Finding, FindingExample

EVIL = "</script><img src=x onerror=alert(1)>&\"'"
ReadPage = Callable[..., Any]


def _visible(page: Any) -> str:
    return " ".join(page.texts.values())


def _check(page: Any) -> None:
    """What holds for every page."""
    assert len(page.ids) == len(set(page.ids))
    assert page.handlers == []
    inner = {link[1:] for link in page.links if not link.startswith("#image=")}
    assert inner <= set(page.ids)
    for word in ("nan", "None", "inf"):
        assert word not in _visible(page).split()


def test_of_a_report_without_analysis_the_results_are_shown(full: ReportData, read_page: ReadPage) -> None:
    data = replace(full, analysis=None, calibration=None, intervals={}, images=())
    page = read_page(data)
    _check(page)
    assert page.tables["accuracy"]["By class"][0] == ["Class", "AP", "AP50"]
    assert not {"errors", "slices", "confusion", "scores", "calibration", "suspects", "images"} & set(page.ids)


def test_an_evaluation_without_detections_has_all_objects_missed(
    evaluated: Callable[..., ReportData], made_up: Callable[..., list[EvaluatedImage]], read_page: ReadPage
) -> None:
    images = [replace(image, detections=Detections.empty()) for image in made_up(5)]
    page = read_page(evaluated(images, ["cat", "dog", "bird"]))
    _check(page)
    errors = {name: cells[1] for name, cells in page.rows("errors", "Errors by type").items() if cells[1]}
    assert sum(int(count) for count in errors.values()) == 30  # six objects in each of five images
    assert errors["missedan object that nothing finds"] == "30"
    assert "there is no detection of the class" in page.texts["scores"]
    assert "calibration" not in page.ids


def test_an_evaluation_without_ground_truth_costs_nothing(
    evaluated: Callable[..., ReportData], made_up: Callable[..., list[EvaluatedImage]], read_page: ReadPage
) -> None:
    images = [replace(image, ground_truth=Annotations.empty()) for image in made_up(5)]
    page = read_page(evaluated(images, ["cat", "dog", "bird"]))
    _check(page)
    assert page.rows("scores", "Thresholds by class")["cat"] == ["n/a", "n/a", "n/a", "n/a", "0", "0", "0"]
    assert "costs most" not in _visible(page)


def test_one_image_has_no_intervals(
    evaluated: Callable[..., ReportData], made_up: Callable[..., list[EvaluatedImage]], read_page: ReadPage
) -> None:
    page = read_page(evaluated(made_up(1), ["cat", "dog", "bird"]))
    _check(page)
    assert "1 image of set with 6 objects of 3 classes." in page.texts["summary"]
    assert "confidence" not in page.texts["summary"]


def test_images_without_anything_make_a_page(evaluated: Callable[..., ReportData], read_page: ReadPage) -> None:
    nothing = [EvaluatedImage(n, f"{n}", (9, 9), Annotations.empty(), Detections.empty()) for n in range(3)]
    _check(read_page(evaluated(nothing, ["cat"])))
    _check(read_page(evaluated([], ["cat"])))


def test_of_eighty_classes_the_most_confused_come_before_the_matrix(
    evaluated: Callable[..., ReportData], made_up: Callable[..., list[EvaluatedImage]], read_page: ReadPage
) -> None:
    data = evaluated(made_up(40, num_classes=80), [f"class {k}" for k in range(80)])
    page = read_page(data)
    _check(page)
    assert data.analysis
    counts = data.analysis.confusion.counts[:80, :80]
    confused = sorted((int(counts[a, b]) for a in range(80) for b in range(80) if a != b), reverse=True)
    pairs = page.tables["confusion"]["Classes taken for each other most"][1:]
    assert [int(row[2]) for row in pairs] == [number for number in confused[:30] if number]
    assert len(page.tables["confusion"]["Confusion matrix"]) == 82
    assert len(page.html) < 4_000_000


@pytest.mark.parametrize(
    "name", [EVIL, "x" * 400, "قطة", "a\u202ebc", "{{ 7 * 7 }}"], ids=["html", "long", "rtl", "bidi", "jinja"]
)
def test_names_are_shown_as_they_are(
    evaluated: Callable[..., ReportData], made_up: Callable[..., list[EvaluatedImage]], read_page: ReadPage, name: str
) -> None:
    images = [replace(image, file_name=f"{name} {image.image_id}") for image in made_up(6)]
    finding = Finding("kind", "warning", name, 1, (FindingExample(name, name, 1, name, place=name),), name)
    group = {"name": name, "count": 3, "recall": {"0.4": 1.0, "0.5": 0.5, "0.7": 0.25}, "forced": 0.5}
    matched = {"num_images": 1, "strides": [8], "share_of_positives": [1.0], "positives_an_image": 2.0, "anchors_an_image": 9.0}
    examination = {"positive_from": 0.5, "num_images": 1, "overall": group, "by_size": [], "by_class": [group]}
    anchors = AnchorData(name, "DATASETS.TRAIN_TRANSFORMS", {**examination, "matched": matched}, [finding])
    page = read_page(evaluated(images, [name, "dog", "bird"], anchors=anchors, findings=FindingsData([name], [finding])))
    _check(page)
    assert "<img src=x" not in page.html
    for section in ("accuracy", "errors", "confusion", "scores", "suspects", "anchors", "findings"):
        assert name in page.texts[section]


def test_a_name_that_is_no_utf_8_is_written_all_the_same(
    evaluated: Callable[..., ReportData], made_up: Callable[..., list[EvaluatedImage]], read_page: ReadPage
) -> None:
    images = [replace(image, file_name=f"\udcff{image.image_id}") for image in made_up(6)]
    assert "\\udcff1" in read_page(evaluated(images, ["cat", "dog", "bird"])).html


def test_an_image_that_cannot_be_read_costs_its_picture_only(full: ReportData, read_page: ReadPage) -> None:
    def read_image(image_id: int | str) -> Any:
        raise DataError(f"{image_id}.jpg: gone")

    page = read_page(full, read_image)
    assert full.analysis
    assert page.pictures == []
    assert page.texts["suspects"].count("No picture:") == len(full.analysis.label_suspects)


def test_a_part_of_few_objects_is_not_called_the_weakest(full: ReportData, read_page: ReadPage) -> None:
    assert full.analysis
    parts = (
        Slice("rare", "", 9, 0.0, 0.0, 0.0),
        Slice("poor", "words", 30, 0.1, 0.2, 0.3),
        Slice("good", "", 33, 0.9, 0.9, 0.9),
    )
    page = read_page(replace(full, analysis=replace(full.analysis, slices={"size": parts})))
    assert "the weakest part of the objects is “poor” (words; 30 objects) with an AP of 0.100" in page.texts["summary"]
