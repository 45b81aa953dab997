"""The page of a report, without a browser."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dettoolkit.errors import DataError
from dettoolkit.evaluation.curves import PrecisionRecall
from dettoolkit.report import ReportData, write_report
from dettoolkit.structures import Annotations, Detections, EvaluatedImage
from dettoolkit.visualization import class_color, hex_color

EVIL = "</script><img src=x onerror=alert(1)>&\"'"


class _Page(HTMLParser):
    """Collects what a browser would load, the texts by tag, and the data of the script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.handlers: list[str] = []
        self.feed(html)
        self.close()
        json_text = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
        assert json_text
        self.data = json.loads(json_text[1], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data", "action"}]

    def handle_data(self, data: str) -> None:
        if data.strip() and self.tags:
            self.texts.setdefault(self.tags[-1], []).append(data.strip())


def _image(image_id: int | str = 1, num_missed: int = 0, name: str = "a.jpg") -> EvaluatedImage:
    boxes = torch.tensor([[1.0, 2.0, 11.0, 22.0]]).repeat(1 + num_missed, 1)
    boxes += torch.arange(1 + num_missed)[:, None] * 30
    count = len(boxes)
    truth = Annotations(boxes, torch.zeros(count, dtype=torch.int64), torch.zeros(count, dtype=torch.bool))
    return EvaluatedImage(
        image_id, name, (600, 800), truth, Detections(boxes[:1], torch.tensor([0.75]), torch.zeros(1, dtype=torch.int64))
    )


def _read_image(image_id: int | str) -> torch.Tensor:
    return torch.full((3, 600, 800), 100, dtype=torch.uint8)


def _write(folder: Path, data: ReportData, **options: Any) -> tuple[str, _Page]:
    path = write_report(folder, data, _read_image, **options)
    assert path == folder / "report" / "index.html"
    html = path.read_text(encoding="utf-8")
    return html, _Page(html)


@pytest.fixture
def full() -> ReportData:
    recall = np.linspace(0, 1, 101)
    return ReportData(
        title="A run",
        class_names=["cat", "dog"],
        results={
            "pets": {
                "bbox": {
                    "AP": 0.4127,
                    "AP50": 0.625,
                    "APs": None,
                    "APl": float("nan"),
                    "per_class": {"cat": {"AP": 0.5254, "AP50": 0.75}, "dog": {"AP": 0.3, "AP50": None}},
                }
            }
        },
        curves={"dog": PrecisionRecall(recall, np.where(recall <= 0.5, 0.8, 0.0), 1 - recall)},
        history=[
            {"iteration": 20, "loss": 1.5, "loss_cls": 1.0, "lr": 1e-3},
            {"iteration": 40, "loss": 0.5, "loss_cls": 0.25, "lr": 1e-3},
            {"iteration": 20, "bbox/AP": 0.25},
            {"iteration": 40, "bbox/AP": 0.4127, "validation/loss": 0.75},
        ],
        images=[_image()],
        config_text="MODEL: {NAME: RetinaNet}",
        environment_text="torch 2",
    )


def test_the_page_refers_to_nothing_outside_itself(tmp_path: Path, full: ReportData) -> None:
    html, page = _write(tmp_path, full)
    assert {reference[0] for reference in page.references} == {"#"}
    assert "url(" not in html
    assert "@import" not in html
    assert set(re.findall(r"https?://[^\s\"'<]+", html)) <= {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in html


def test_the_numbers_are_those_given_and_missing_ones_are_not_available(tmp_path: Path, full: ReportData) -> None:
    _, page = _write(tmp_path, full)
    headline = [text for text in page.texts["dd"] if re.fullmatch(r"n/a|\d\.\d{3}", text)]
    assert headline == ["0.413", "0.625", "n/a", "n/a"]
    assert page.texts["dt"][:4] == ["AP", "AP50", "APs", "APl"]
    assert page.texts["td"] == ["0.525", "0.750", "0.300", "n/a"]


def test_a_class_has_its_color_from_the_pictures_in_the_table_the_curve_and_the_gallery(
    tmp_path: Path, full: ReportData
) -> None:
    html, page = _write(tmp_path, full)
    dog = hex_color(class_color(1))
    assert page.data["colors"][1] == dog
    assert f'<i class="swatch" style="--color:{dog}"></i><bdi>dog</bdi>' in html
    assert re.search(rf'data-series="dog".*?stroke="{dog}"', html)


def test_a_single_evaluation_has_no_curve_but_a_sentence(tmp_path: Path, full: ReportData) -> None:
    sentence = "The accuracy was measured once"
    html, _ = _write(tmp_path, full)
    assert "Accuracy on the test set" in html
    assert sentence not in html
    del full.history[-2]  # type: ignore[attr-defined]
    html, _ = _write(tmp_path, full)
    assert "Accuracy on the test set" not in html
    assert sentence in html


def test_curves_show_the_last_values_and_the_best_threshold(tmp_path: Path, full: ReportData) -> None:
    html, _ = _write(tmp_path, full)
    for name, last in {
        "loss": "0.5",
        "loss_cls": "0.25",
        "validation/loss": "0.75",
        "bbox/AP": "0.4127",
        "lr": "0.001",
    }.items():
        assert re.search(rf"</i><bdi>{name}</bdi> <span>{re.escape(last)}</span>", html)
    # precision 0.8 up to recall 0.5: the best F1 is 2 * 0.8 * 0.5 / 1.3 = 0.615, at score 1 - 0.5
    assert "F1 0.62 at score 0.50" in html


def test_html_in_names_is_shown_and_not_run(tmp_path: Path) -> None:
    image = _image(name=EVIL)
    evil = ReportData(
        title=EVIL,
        class_names=[EVIL],
        results={EVIL: {"bbox": {"AP": 0.5, EVIL: 0.1, "per_class": {EVIL: {EVIL: 0.5}}}}},
        curves={EVIL: PrecisionRecall(np.array([0.0, 1.0]), np.array([1.0, 0.5]), np.array([1.0, 0.0]))},
        history=[{"iteration": 1, "loss" + EVIL: 1.0, "loss": 2.0}],
        images=[image],
        config_text=EVIL,
        environment_text=EVIL,
    )
    html, page = _write(tmp_path, evil)
    assert "<img src=x" not in html
    assert page.handlers == []
    assert html.count("</script>") == 2
    assert page.data["names"] == [EVIL]
    assert page.data["classNames"] == [EVIL]
    assert page.texts["h1"] == [EVIL]


@pytest.mark.parametrize(
    "data",
    [
        ReportData("empty", []),
        ReportData("no results", ["a"], results={"set": {"bbox": {}}}),
        ReportData("no detections", ["a"], images=[EvaluatedImage(1, "a", (9, 9), Annotations.empty(), Detections.empty())]),
        ReportData("nothing finite", ["a"], history=[{"iteration": 1, "loss": float("nan")}, {"iteration": 2, "lr": None}]),
        ReportData("nothing found", ["a"], curves={"a": PrecisionRecall(np.zeros(3), np.zeros(3), np.zeros(3))}),
    ],
    ids=lambda data: data.title,
)
def test_parts_that_are_missing_leave_a_page(tmp_path: Path, data: ReportData) -> None:
    html, page = _write(tmp_path, data)
    assert page.texts["h1"] == [data.title]
    assert not re.search(r"\bnan\b", html[html.index("<body>") : html.index("<script")], re.IGNORECASE)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file")
    with pytest.raises(DataError, match=r"report.index\.html: the report cannot be written"):
        write_report(tmp_path, ReportData("", []), _read_image)
