"""One image enlarged: its keys, its address, what is said of boxes, and the telephone."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from dettoolkit.structures import EvaluatedImage

Browse = Any  # of the folder above
NAMES = ["cat", "dog", "<b>bird</b>"]  # of conftest.py


def _text(name: str) -> str:
    """A file name as it is shown."""
    return name.replace("\ud800", "\\ud800").replace("\x07", "\\u0007")


def _viewer(browser: Any) -> tuple[bool, str]:
    return browser.run("document.getElementById('viewer').open"), browser.run(
        "document.getElementById('viewer-name').textContent"
    )


def test_the_keys_of_the_viewer(browser: Any, scenes: list[EvaluatedImage]) -> None:
    browser.set("order", "name")
    browser.set("search", "set/", "input")
    browser.run("document.querySelector('.card[tabindex=\"0\"]').focus()")
    browser.press("ArrowRight", "Enter")
    assert _viewer(browser) == (True, "set/004.jpg (2 of 57)")
    browser.press("ArrowRight")
    assert _viewer(browser)[1].startswith("set/005.jpg (3 of")
    browser.press("ArrowLeft", "ArrowLeft", "ArrowLeft")
    assert _viewer(browser)[1].startswith("set/059.jpg (57 of")  # round the end
    rects = "[...document.querySelectorAll('#viewer-panels svg')].map((one) => one.querySelectorAll('rect').length)"
    num_truth, num_found = browser.run(rects)
    assert num_truth == len(scenes[59].ground_truth)
    assert num_found > 0
    browser.press("g")
    assert browser.run(rects) == [0, num_found]
    browser.press("p")
    assert browser.run(rects) == [0, 0]
    browser.press("g", "p")
    width = "document.querySelector('#viewer .stage').clientWidth"
    before = browser.run(width)
    browser.press("+")
    assert browser.run(width) == pytest.approx(1.5 * before, abs=2)
    browser.press("-")
    assert browser.run(width) == pytest.approx(before, abs=2)
    browser.press("ArrowDown")
    spoken = browser.run("document.getElementById('viewer-info').textContent")
    best = scenes[59].detections
    assert f"Prediction: {NAMES[int(best.labels[0])]}, score {float(best.scores[0]):.2f}, IoU 0." in spoken
    assert re.search(r"; (right|error: (classification|localisation|both|duplicate|background)|in a crowd region)", spoken)
    browser.press("Escape")
    assert not _viewer(browser)[0]


def _area(browser: Any, selector: str) -> list[float]:
    """Left, top, width and height in pixels of the window."""
    area: dict[str, float] = browser.run(f"document.querySelector('{selector}').getBoundingClientRect().toJSON()")
    return [area[name] for name in ("x", "y", "width", "height")]


def test_the_wheel_enlarges_about_the_pointer(browser: Any) -> None:
    browser.click(".card")
    left, top, width, height = _area(browser, ".scroller")
    x, y = left + width / 4, top + height / 4
    browser.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-400)
    browser.settle()
    assert browser.run("document.getElementById('zoom').textContent") == "272 %"  # e to the power of 400 / 400
    left, top, width, height = _area(browser, ".stage")
    assert [(x - left) / width, (y - top) / height] == pytest.approx([0.25, 0.25], abs=0.01)
    scrolled = browser.run("[...document.querySelectorAll('.scroller')].map((one) => Math.round(one.scrollLeft))")
    assert scrolled[0] == scrolled[1] > 0  # both sides show the same place


def test_pointing_at_a_box_tells_what_it_is_and_lights_its_partner(browser: Any) -> None:
    browser.click(".card")
    browser.run(
        "document.querySelector('#viewer figure:last-child rect.right').dispatchEvent(new PointerEvent('pointerenter'))"
    )
    assert re.fullmatch(
        r"Prediction: .+, score 0\.\d\d, IoU 0\.\d\d with its object, .+; right\.",
        browser.run("document.getElementById('viewer-info').textContent"),
    )
    assert browser.run(
        "[...document.querySelectorAll('#viewer svg')].map((one) => one.querySelectorAll('rect.lit').length)"
    ) == [1, 1]


@pytest.mark.parametrize(("number", "instead"), [(0, ""), (1, "%3F"), (1, "%EF%BF%BD"), (2, ""), (44, "")])
def test_an_address_opens_its_image_at_load_and_when_it_changes(
    browser: Any, address: str, scenes: list[EvaluatedImage], number: int, instead: str
) -> None:
    name = scenes[number].file_name
    # a link has a question mark or U+FFFD for half of a surrogate pair, whoever made it
    link = "#image=" + quote(name, safe="", errors="replace").replace("%3F", instead)
    browser.open("about:blank")
    browser.open(address + link)
    assert _viewer(browser)[0]
    assert _viewer(browser)[1].startswith(_text(name))
    browser.press("Escape")
    assert browser.run("location.hash") == "#images"
    browser.run(f"location.hash = {json.dumps(link)}")
    browser.settle()
    assert _viewer(browser)[1].startswith(_text(name))
    browser.press("Escape")
    browser.run("location.hash = '#image=%'")  # of no image, and no encoding: nothing opens
    browser.settle()
    assert not _viewer(browser)[0]
    browser.run("history.replaceState(null, '', '#')")


def test_an_image_outside_of_the_filters_opens_alone(browser: Any) -> None:
    browser.set("search", "set/01", "input")
    assert browser.run("openImage('set/044.jpg')") is True
    assert _viewer(browser) == (True, "set/044.jpg")
    assert browser.run("openImage('none')") is False


@pytest.mark.parametrize("media", [{"prefers-color-scheme": "light"}, {"prefers-color-scheme": "dark"}], ids=["light", "dark"])
def test_on_a_telephone_nothing_is_wider_than_the_screen(browse: Browse, address: str, media: dict[str, str]) -> None:
    phone = browse(size=(390, 844), phone=True, media=media)
    phone.open(address + "#images")
    widths = "[document.documentElement.scrollWidth, innerWidth]"
    assert phone.run(widths) == [390, 390]
    outside = "[...document.querySelectorAll('#images *')].filter((one) => one.getBoundingClientRect().right > 391).length"
    assert phone.run(outside) == 0
    phone.click(".card")
    assert phone.run(widths) == [390, 390]
    assert (
        phone.run("[...document.querySelectorAll('#viewer *')].filter((one) => one.getBoundingClientRect().right > 391).length")
        == 0
    )
    assert (
        phone.run("getComputedStyle(document.querySelector('.scroller')).touchAction") == "manipulation"
    )  # to pan and to pinch
    assert phone.run("document.getElementById('viewer').getBoundingClientRect().height") <= 844
    assert phone.complaints == []
