"""Turning pages and going from control to control and from card to card by keys."""

from __future__ import annotations

from typing import Any

NAMES = ["cat", "dog", "<b>bird</b>"]  # of conftest.py
CHIPS = ("right", "classification", "localisation", "both", "duplicate", "background", "missed")


def test_everything_is_reached_by_tab_with_one_stop_for_the_cards(browser: Any) -> None:
    browser.run("document.getElementById('search').focus()")
    reached = []
    for _ in range(16):
        reached.append(
            browser.run("document.activeElement.id || document.activeElement.className || document.activeElement.textContent")
        )
        browser.press("Tab")
    assert reached[:6] == ["search", "class", "order", "coloring", "score-by-class", "score"]
    assert len([name for name in reached if name.startswith(CHIPS)]) == 7
    assert reached.count("card") == 1
    assert reached[14:] == ["page", "page-on"]  # the page before is not to be had on the first
    browser.run("document.querySelector('.card').focus()")
    browser.press("End")
    place = "[...document.querySelectorAll('.card')].indexOf(document.activeElement)"
    assert browser.run(place) == 23
    browser.press("PageDown", "Home")
    assert browser.run(place) == 0
    assert browser.run("document.getElementById('page').value") == "2"
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_pages_are_turned_and_chosen(browser: Any) -> None:
    assert browser.run("document.getElementById('num-pages').textContent") == "3"  # 60 images, 24 a page
    browser.set("page", 3)
    assert browser.run("document.querySelectorAll('.card:not([hidden])').length") == 12
    browser.set("page", 99)
    assert browser.run("document.getElementById('page').value") == "3"
    browser.set("score", 0.5)
    assert browser.run("document.getElementById('page').value") == "1"


def test_colours_of_the_classes_have_a_legend(browser: Any) -> None:
    assert browser.run("document.getElementById('legend').hidden")
    browser.set("coloring", "class")
    assert browser.run("[...document.querySelectorAll('#legend span')].map((one) => one.textContent)") == NAMES
