"""The panels in a real browser: sorting, legends, links, a phone, and no complaint of the console."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dettoolkit.report import ReportData, write_report

Browse = Callable[..., Any]

SORTED = """(() => {
  const table = document.querySelector("%s table");
  table.tHead.rows[0].cells[%d].querySelector("button").click();
  return [table.tHead.rows[0].cells[%d].ariaSort, ...[...table.tBodies[0].rows].map((row) => row.cells[%d].textContent)];
})()"""


@pytest.fixture
def address(tmp_path: Path, full: ReportData) -> str:
    """The page of twelve images, of which the class ``dog`` has no AP."""
    full.results["set"]["bbox"]["per_class"]["dog"]["AP"] = None  # type: ignore[index]
    return write_report(tmp_path, full, lambda _: torch.full((3, 200, 300), 90, dtype=torch.uint8)).as_uri()


def _sorted_by(browser: Any, section: str, column: int, shown: int) -> list[str]:
    """Click on a column and return its direction and what another one shows from top to bottom."""
    answer: list[str] = browser.run(SORTED % (section, column, column, shown))
    return answer


def test_numbers_sort_the_highest_first_and_what_is_missing_last(browse: Browse, address: str, full: ReportData) -> None:
    browser = browse()
    browser.open(address)
    aps = {name: values["AP"] for name, values in full.results["set"]["bbox"]["per_class"].items()}
    best, worst = sorted((name for name in aps if aps[name] is not None), key=lambda name: -aps[name])
    assert _sorted_by(browser, "#accuracy", 1, 0) == ["descending", best, worst, "dog"]
    assert _sorted_by(browser, "#accuracy", 1, 0) == ["ascending", worst, best, "dog"]
    assert _sorted_by(browser, "#accuracy", 0, 0) == ["ascending", "bird", "cat", "dog"]
    assert _sorted_by(browser, "#accuracy", 0, 0) == ["descending", "dog", "cat", "bird"]
    counts = [int(text.replace(",", "") or -1) for text in _sorted_by(browser, "#errors", 2, 2)[1:]]
    assert counts == sorted(counts, reverse=True)
    assert browser.complaints == []


def test_a_key_hides_its_class_in_all_charts_that_share_the_legend(browse: Browse, address: str) -> None:
    browser = browse()
    browser.open(address)
    browser.run("document.querySelector('#scores .keys button[data-series=\"dog\"]').click()")
    hidden = "[...document.querySelectorAll('#scores g[data-series=\"{}\"]')].map((line) => line.style.display)"
    assert browser.run(hidden.format("dog")) == ["none"] * 4
    assert browser.run(hidden.format("cat")) == [""] * 4
    assert browser.run("document.querySelector('#scores .keys button[data-series=\"dog\"]').ariaPressed") == "false"
    assert browser.complaints == []


def test_a_suspect_opens_its_image_in_the_gallery(browse: Browse, address: str, full: ReportData) -> None:
    browser = browse()
    browser.open(address)
    browser.run("document.querySelector('#suspects a').click()")
    browser.settle()
    assert full.analysis
    assert browser.run("document.getElementById('viewer').open") is True
    shown = browser.run("document.getElementById('viewer-name').textContent")
    assert full.analysis.label_suspects[0].file_name in shown
    assert browser.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_but_wide_tables_scrolls_sideways(browse: Browse, address: str, scheme: str) -> None:
    browser = browse(size=(360, 740), phone=True, media={"prefers-color-scheme": scheme})
    browser.open(address)
    assert browser.run("document.documentElement.scrollWidth") == 360
    beyond = """[...document.querySelectorAll("main *")].filter((one) =>
        one.getBoundingClientRect().right > 361 && !one.closest(".scroll, pre, svg")).map((one) => one.outerHTML)"""
    assert browser.run(beyond) == []
    assert browser.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(browse: Browse, address: str, scheme: str) -> None:
    browser = browse(media={"prefers-color-scheme": scheme})
    browser.open(address)
    # WCAG 2.2: 4.5 to 1 for text of this size; colours are drawn on a canvas, which resolves color-mix()
    script = """(() => {
      const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      const luminance = (color) => {
        canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => value / 255)
          .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
      };
      const behind = (node) => {
        const color = getComputedStyle(node).backgroundColor;
        return color === "rgba(0, 0, 0, 0)" && node.parentElement ? behind(node.parentElement) : color;
      };
      return ["p", "td", "th", "dd", "dt", "a", "small", "summary", "code"]
        .flatMap((name) => [...document.querySelectorAll(`main ${name}`)])
        .filter((node) => node.checkVisibility() && node.textContent.trim())
        .map((node) => [node.outerHTML.slice(0, 90), luminance(getComputedStyle(node).color), luminance(behind(node))])
        .map(([what, one, other]) => [what, (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)])
        .filter(([, contrast]) => contrast < 4.5);
    })()"""
    assert browser.run(script) == []


def test_everything_can_be_reached_by_the_keyboard_and_shows_it(browse: Browse, address: str) -> None:
    browser = browse()
    browser.open(address)
    seen = set()
    for _ in range(40):
        browser.press("Tab")
        seen.add(browser.run("document.activeElement.closest('section, nav, header')?.id || document.activeElement.tagName"))
        outline = browser.run("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
    assert {"accuracy", "errors", "slices"} <= seen
