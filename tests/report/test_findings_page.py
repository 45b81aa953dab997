"""The page of findings, without a browser and, where there is one, in it."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dettoolkit.errors import DataError
from dettoolkit.report.findings_page import findings_fragment, write_findings_page
from dettoolkit.structures import Finding, FindingExample

EVIL = "</script><img src=x onerror=alert(1)>&\"'"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--virtual-time-budget=2000", "--dump-dom"]


class _Page(HTMLParser):
    """Collects what a browser would load or run, and texts by tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.tags: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]

    def handle_data(self, data: str) -> None:
        if data.strip() and self.tags:
            self.texts.setdefault(self.tags[-1], []).append(data.strip())


def _read(dataset: str, image_id: int | str) -> torch.Tensor:
    if image_id == "broken":
        raise DataError(f"{dataset}: broken.jpg: cannot be decoded")
    return torch.full((3, 300, 400), 128, dtype=torch.uint8)


def _example(box: Any = None, text: str = "text", image_id: int | str | None = 1, **others: Any) -> FindingExample:
    return FindingExample(text, "set", image_id, "a.jpg", box, **others)


def _finding(*examples: FindingExample, severity: Any = "warning", count: int = 1, title: str = "title") -> Finding:
    return Finding("some-kind", severity, title, count, examples, "Mend it.")


def _data(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="findings-data">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def _write(folder: Path, *findings: Finding, **options: Any) -> tuple[str, _Page]:
    path = write_findings_page(folder / "page", "Check", findings, _read, **options)
    assert path == folder / "page/index.html"
    html = path.read_text(encoding="utf-8")
    return html, _Page(html)


def _views(*examples: FindingExample) -> list[dict[str, Any]]:
    return _data(str(findings_fragment([_finding(*examples)], _read)))["views"]


def test_the_worst_come_first_and_all_numbers_and_texts_are_there(tmp_path: Path) -> None:
    hint = _finding(severity="hint", count=99, title="a hint")
    few, many = _finding(count=3, title="few"), _finding(_example(text="what", place="line 7"), count=1234, title="many")
    error = _finding(severity="error", count=2, title="an error")
    _, page = _write(tmp_path, hint, few, many, error)
    assert page.texts["a"] == ["an error", "many", "few", "a hint"]
    assert page.texts["td"] == ["2", "1234", "3", "99"]
    assert page.texts["p"][0].startswith("1 error, 2 warnings, 1 hint.")
    assert page.texts["p"].count("Mend it.") == 4
    assert page.texts["figcaption"] == ["what"]
    assert page.texts["small"] == ["set: a.jpg", "line 7"]


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    html, page = _write(tmp_path, _finding(_example((1, 1, 300, 200)), _example(image_id=None)))
    assert page.references == ["#finding-1"]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", html)
    assert "default-src 'none'" in html


def test_html_in_names_is_shown_and_not_run(tmp_path: Path) -> None:
    evil = FindingExample(EVIL, EVIL, 1, EVIL, (1, 1, 200, 200), EVIL)
    broken = FindingExample(EVIL, EVIL, "broken", EVIL)
    findings = [Finding(EVIL, "error", EVIL, 2, (evil, broken), EVIL)]
    path = write_findings_page(tmp_path, EVIL, findings, _read)
    html = path.read_text(encoding="utf-8")
    page = _Page(html)
    assert "<img" not in html
    assert page.handlers == []
    assert html.count("</script>") == 2
    assert page.texts["h1"] == [EVIL]
    assert page.texts["figcaption"] == [EVIL, EVIL]
    assert f"No picture: {EVIL}: broken.jpg: cannot be decoded" in page.texts["p"]


def test_a_thumbnail_is_made_once_for_each_picture() -> None:
    read: list[tuple[str, int | str]] = []

    def read_image(dataset: str, image_id: int | str) -> torch.Tensor:
        read.append((dataset, image_id))
        return _read(dataset, image_id)

    finding = _finding(_example(), _example((0, 0, 9, 9)), _example(image_id=2), _example(image_id=None))
    data = _data(str(findings_fragment([finding, finding], read_image, thumbnail_side=200)))
    assert read == [("set", 1), ("set", 2)]
    assert [(picture["width"], picture["height"]) for picture in data["pictures"]] == [(400, 300)] * 2
    assert [view["picture"] for view in data["views"]] == [0, 0, 1] * 2
    kind, encoded = data["pictures"][0]["uri"].split(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (200, 150)


@pytest.mark.parametrize(
    ("box", "shown"),
    [
        ((10, 20, 110, 70), [10, 20, 100, 50]),
        ((110, 70, 10, 20), [10, 20, 100, 50]),  # corners in the wrong order
        ((350, 0, 500, 300), [350, 0, 150, 300]),  # beyond the right border: followed
        ((-9000, 0, 9000, 300), [-200, 0, 800, 300]),  # but only by half the picture's width, 200
        ((float("nan"), 0, 1, 1), None),
        (None, None),
    ],
)
def test_boxes_are_those_of_the_file_as_far_as_they_can_be_shown(box: Any, shown: list[float] | None) -> None:
    assert _views(_example(box))[0]["box"] == shown


@pytest.mark.parametrize(
    ("box", "region"),
    [
        ((100, 100, 131, 110), [53, 43, 125, 124]),  # 31 of 400 pixels: 115.5 +- 62 and 105 +- 62, in whole pixels
        ((100, 100, 132, 110), None),  # 8 % of 400 pixels can be seen without
        ((200, 150, 202, 152), [177, 127, 48, 48]),  # at least 48 pixels
        ((0, 299, 2, 300), [0, 275, 25, 25]),  # of the 48 those in the picture: about (1, 299.5)
        ((500, 400, 502, 402), None),  # outside: there is nothing to enlarge
    ],
)
def test_a_tiny_box_is_shown_enlarged_as_well(box: Any, region: list[int] | None) -> None:
    crop = _views(_example(box))[0]["crop"]
    assert (crop and crop["region"]) == region
    if region is not None:
        picture = Image.open(io.BytesIO(base64.b64decode(crop["uri"].split(",")[1])))
        assert picture.size == (region[2], region[3])


def test_examples_of_one_group_stand_together(tmp_path: Path) -> None:
    groups = [0, 0, None, None, 1, 1, 1, 0]
    _, page = _write(tmp_path, _finding(*(_example(group=group, image_id=place) for place, group in enumerate(groups))))
    assert page.tags.count("li") == 2 + 1 + 1 + 1  # those without a group and the last one are on their own
    assert page.tags.count("figure") == len(groups)


def test_no_more_examples_are_shown_than_asked_for_and_the_page_says_so(tmp_path: Path) -> None:
    pairs = [_example(group=place // 2) for place in range(10)]  # five pairs
    html, page = _write(tmp_path, _finding(*pairs, count=5), max_examples=3)
    assert page.tags.count("figure") == 6
    assert "3 of 5 shown." in html
    assert " shown.<" not in _write(tmp_path, _finding(*pairs, count=5), max_examples=5)[0]


def test_no_findings_leave_a_page_that_says_so(tmp_path: Path) -> None:
    _, page = _write(tmp_path)
    assert "Nothing was found." in page.texts["p"]
    assert "table" not in page.tags


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "page").write_text("a file")
    with pytest.raises(DataError, match=r"index\.html: the page of findings cannot be written"):
        write_findings_page(tmp_path / "page", "", [], _read)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_the_browser_draws_pictures_boxes_and_crops_and_enlarges_them(tmp_path: Path) -> None:
    assert BROWSER
    finding = _finding(_example((10, 10, 200, 200)), _example((5, 5, 9, 9), text="<b>tiny</b>"), _example(image_id="broken"))
    path = write_findings_page(tmp_path / "page", "Check", [finding], _read)
    keys = """<script>
      document.querySelectorAll(".view")[0].click();
      document.querySelector(".finding-viewer").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    </script></body>"""
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", keys), encoding="utf-8")
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    page, viewer = dom.split("<dialog")[0], dom.split("<dialog")[1].split("<script")[0]
    # of the first example the box; of the second a ring and, in the crop, the box
    assert page.count('class="line"') == 3
    assert len(re.findall(r'<rect[^>]*class="line"', page)) == 2
    assert len(re.findall(r'<image href="data:image/jpeg', page)) == 3
    assert ' open=""' in viewer.split(">")[0]
    assert "2 of 2" in viewer
    assert "&lt;b&gt;tiny&lt;/b&gt; · set: a.jpg" in viewer
    assert viewer.count("<image") == 2
