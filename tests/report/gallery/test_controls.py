"""What the gallery counts is what Python counts, and every control does what it says."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from dettoolkit.evaluation.analysis import DetectionAnalysis, find_errors, match_detections
from dettoolkit.evaluation.analysis.error_types import ERROR_TYPES
from dettoolkit.structures import Detections, EvaluatedImage

Thresholds = torch.Tensor
NAMES = ["cat", "dog", "<b>bird</b>"]  # of conftest.py
CHIPS = ("right", *ERROR_TYPES)


def _above(scenes: list[EvaluatedImage], thresholds: Thresholds) -> list[EvaluatedImage]:
    alone = []
    for one in scenes:
        kept = one.detections.scores >= thresholds[one.detections.labels]
        found = Detections(one.detections.boxes[kept], one.detections.scores[kept], one.detections.labels[kept])
        alone.append(EvaluatedImage(one.image_id, one.file_name, one.size, one.ground_truth, found))
    return alone


class _Counts:
    """``[I, K]`` tables of what the analysis counts in detections that reach the thresholds."""

    def __init__(self, scenes: list[EvaluatedImage], thresholds: Thresholds) -> None:
        alone = _above(scenes, thresholds)
        matched = match_detections(alone, len(NAMES), (0.5,))
        errors = find_errors(alone, matched)
        shape = (len(scenes), len(NAMES))
        self.of = {name: np.zeros(shape, dtype=int) for name in CHIPS}
        for kind, name in enumerate(ERROR_TYPES):
            chosen = errors.kind == kind
            np.add.at(self.of[name], (errors.image[chosen], errors.label[chosen]), 1)
        right = matched.is_true_positive[0]
        np.add.at(self.of["right"], (matched.image[right], matched.label[right]), 1)
        self.num_truth = matched.num_truth

    @property
    def not_found(self) -> np.ndarray:
        return self.num_truth - self.of["right"]

    @property
    def wrong(self) -> np.ndarray:
        return sum(self.of[name] for name in ERROR_TYPES[:-1])  # type: ignore[return-value]

    @property
    def errors(self) -> np.ndarray:
        return np.asarray(self.wrong + self.of["missed"])


def _one(score: float) -> Thresholds:
    return torch.full((len(NAMES),), score)


def _chips(browser: Any) -> dict[str, int]:
    pairs = browser.run(
        "[...document.querySelectorAll('#kinds button')].map((one) => [one.children[1].textContent, one.lastChild.textContent])"
    )
    return {name: int(number.replace(",", "")) for name, number in pairs}


def _totals(browser: Any) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", browser.run("document.getElementById('totals').textContent"))]


def _shown(browser: Any) -> list[str]:
    """The names of all cards, page after page."""
    names: list[str] = []
    while True:
        names += browser.run("[...document.querySelectorAll('.card:not([hidden]) b')].map((one) => one.textContent)")
        if browser.run("document.getElementById('pager').hidden || document.getElementById('page-on').disabled"):
            return names
        browser.click("#page-on")


def _text(name: str) -> str:
    """A file name as it is shown."""
    return name.replace("\ud800", "\\ud800").replace("\x07", "\\u0007")


def test_at_the_chosen_thresholds_the_counts_are_those_of_the_analysis(
    browser: Any, scenes: list[EvaluatedImage], analysis: DetectionAnalysis
) -> None:
    counts = _Counts(scenes, analysis.thresholds.of_labels(NAMES))
    assert _chips(browser) == {name: table.sum() for name, table in counts.of.items()}
    assert min(_chips(browser).values()) > 0
    assert _totals(browser) == [60, counts.of["right"].sum(), counts.not_found.sum(), counts.wrong.sum()]
    scores = analysis.image_scores  # and of the images
    assert counts.not_found.sum() == sum(one.misses for one in scores)
    assert counts.wrong.sum() == sum(one.false_positives for one in scores)


def test_the_slider_counts_at_one_score_for_all_while_it_moves(browser: Any, scenes: list[EvaluatedImage]) -> None:
    seen = set()
    before = browser.run("[...document.querySelectorAll('.card b')].map((one) => one.textContent)")
    for score in (0.05, 0.29, 0.37, 0.5, 0.58, 0.99):
        browser.set("score", score, "input")
        chips = _chips(browser)
        assert chips == {name: table.sum() for name, table in _Counts(scenes, _one(score)).of.items()}, score
        assert browser.run("document.getElementById('score-one').checked")
        assert browser.run("document.getElementById('score-value').textContent") == f"{score:.2f}"
        seen.add(tuple(chips.values()))
        # the images stay where they are until it is let go
        assert browser.run("[...document.querySelectorAll('.card b')].map((one) => one.textContent)") == before
    assert len(seen) == 6
    browser.click("#score-by-class")
    assert "\u2013" in browser.run("document.getElementById('score-value').textContent")


def test_the_slider_begins_at_the_lowest_score_on_the_page(browser: Any) -> None:
    assert browser.run("document.getElementById('score').min") == "0.05"


@pytest.mark.parametrize("label", range(3))
def test_a_class_is_counted_alone_and_images_without_it_are_not_shown(
    browser: Any, scenes: list[EvaluatedImage], label: int
) -> None:
    browser.set("score", 0.5)
    browser.set("class", label)
    counts = _Counts(scenes, _one(0.5))
    assert _chips(browser) == {name: table[:, label].sum() for name, table in counts.of.items()}
    alone = _above(scenes, _one(0.5))
    there = [one.file_name for one in alone if label in one.ground_truth.labels or label in one.detections.labels]
    assert sorted(_shown(browser)) == sorted(map(_text, there))


@pytest.mark.parametrize("kind", CHIPS)
def test_a_kind_shows_the_images_that_have_it_and_no_others(browser: Any, scenes: list[EvaluatedImage], kind: str) -> None:
    browser.set("score", 0.62)
    browser.click(f"#kinds button:nth-child({1 + CHIPS.index(kind)})")
    table = _Counts(scenes, _one(0.62)).of[kind].sum(axis=1)
    assert 0 < np.count_nonzero(table) < 60 or kind == "right"
    assert sorted(_shown(browser)) == sorted(_text(one.file_name) for one, number in zip(scenes, table, strict=True) if number)
    assert _totals(browser)[:2] == [np.count_nonzero(table), 60] or np.count_nonzero(table) == 60
    assert browser.run("document.querySelectorAll('#kinds [aria-pressed=true]').length") == 1


def test_several_kinds_show_images_with_any_of_them(browser: Any, scenes: list[EvaluatedImage]) -> None:
    for kind in ("both", "duplicate"):
        browser.click(f"#kinds button:nth-child({1 + CHIPS.index(kind)})")
    browser.set("score", 0.62)
    counts = _Counts(scenes, _one(0.62)).of
    assert len(_shown(browser)) == np.count_nonzero((counts["both"] + counts["duplicate"]).sum(axis=1))


def test_each_order_is_that_of_the_numbers_of_python(
    browser: Any, scenes: list[EvaluatedImage], analysis: DetectionAnalysis
) -> None:
    counts = _Counts(scenes, analysis.thresholds.of_labels(NAMES))
    losses = np.zeros(len(scenes))
    losses[[one.image for one in analysis.image_scores]] = [round(one.loss, 3) for one in analysis.image_scores]
    falling = {"errors": counts.errors, "missed": counts.not_found, "false": counts.wrong}
    keys = {name: -table.sum(axis=1) for name, table in falling.items()}
    keys |= {"fewest": counts.errors.sum(axis=1), "loss": -losses}
    place = {_text(one.file_name): number for number, one in enumerate(scenes)}
    for order, key in keys.items():
        browser.set("order", order)
        shown = [place[name] for name in _shown(browser)]
        assert sorted(shown) == list(range(60)), order
        assert key[shown].tolist() == sorted(key.tolist()), order
    browser.set("order", "name")
    plain = [name for name in _shown(browser) if name.startswith("set/")]
    assert plain == [f"set/{number:03d}.jpg" for number in range(3, 60)]


def test_search_finds_parts_of_names_and_the_counts_are_of_what_is_found(browser: Any, scenes: list[EvaluatedImage]) -> None:
    browser.set("score", 0.5)
    browser.set("search", "SET/01", "input")
    assert sorted(_shown(browser)) == [f"set/{number:03d}.jpg" for number in range(10, 20)]
    counts = _Counts(scenes[10:20], _one(0.5))
    assert _chips(browser) == {name: table.sum() for name, table in counts.of.items()}
    browser.set("search", "nowhere", "input")
    assert _shown(browser) == []
    assert _totals(browser)[:2] == [0, 60]


def test_names_are_shown_and_not_run(browser: Any) -> None:
    browser.set("order", "name")
    names = _shown(browser)
    assert {"<img src=x onerror=alert(1)>.jpg", "half \\ud800 and bell \\u0007.jpg", "50%41 of it.jpg"} <= set(names)
    assert browser.run("document.querySelectorAll('img[onerror], option b').length") == 0
    assert NAMES[2] in browser.run("[...document.querySelectorAll('#class option')].map((one) => one.textContent)")


def test_a_picture_that_could_not_be_read_says_why(browser: Any) -> None:
    browser.set("search", "set/003", "input")
    browser.run("document.querySelector('.card').scrollIntoView({ behavior: 'instant' })")
    browser.settle()
    assert browser.run("document.querySelector('.card .fault').textContent") == "<i>no</i> such disk"
    assert browser.run("document.querySelector('.card img').hidden")
