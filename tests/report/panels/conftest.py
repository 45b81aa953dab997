"""Pages of made-up evaluations, and what stands in their tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from dettoolkit.evaluation.analysis import analyse, assess_calibration, bootstrap_precision, match_detections
from dettoolkit.report import ReportData, write_report
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

SIZE = (200, 300)


class Page(HTMLParser):
    """What a page says.

    ``tables``: by section and then by caption, each a list of rows, each a list of texts, the headings first. ``texts``: all
    text by section. ``ids`` and ``links``: of all elements. ``pictures``: the addresses of all pictures.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tables: dict[str, dict[str, list[list[str]]]] = {}
        self.texts: dict[str, str] = {}
        self.ids: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.pictures: list[str] = []
        self._section, self._caption, self._cell = "", "", False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.ids += [known["id"]] if "id" in known else []
        self.links += [known["href"]] if tag == "a" else []
        self.pictures += [known["href"]] if tag == "image" else []
        self.handlers += [name for name in known if name.startswith("on")]
        if tag == "section":
            self._section = known.get("id", "")
        if known.get("class") == "scroll":
            self._caption = known["aria-label"]
            self.tables.setdefault(self._section, {})[self._caption] = []
        if tag == "tr":
            self.tables[self._section][self._caption].append([])
        if tag in ("td", "th"):
            self.tables[self._section][self._caption][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        self.texts[self._section] = self.texts.get(self._section, "") + data
        if self._cell:
            self.tables[self._section][self._caption][-1][-1] += data

    def rows(self, section: str, caption: str) -> dict[str, list[str]]:
        """Return the rows of a table below its headings, by what they begin with."""
        return {row[0]: row[1:] for row in self.tables[section][caption][1:]}


@pytest.fixture
def read_page(tmp_path: Path) -> Callable[..., Page]:
    """``read_page(data)``: write the page and read it; ``read_image`` may be given."""

    def read(data: ReportData, read_image: Any = None) -> Page:
        path = write_report(tmp_path, data, read_image or (lambda _: torch.full((3, *SIZE), 90, dtype=torch.uint8)))
        return Page(path.read_text(encoding="utf-8"))

    return read


def made_up_images(count: int = 12, num_classes: int = 3, seed: int = 0) -> list[EvaluatedImage]:
    """Return images with found, misplaced, missed, mistaken and invented objects, by seeded chance."""
    generator = torch.Generator().manual_seed(seed)

    def chance(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    images = []
    for number in range(count):
        corner = chance(6, 2) * torch.tensor([SIZE[1] - 80.0, SIZE[0] - 80.0])
        truth = torch.cat([corner, corner + 10 + 60 * chance(6, 2)], dim=1)
        labels = torch.randint(num_classes, (6,), generator=generator)
        moved = truth + 12 * (chance(6, 1) ** 3) * (chance(6, 4) - 0.5)
        found_labels = torch.where(chance(6) < 0.85, labels, (labels + 1) % num_classes)
        elsewhere = torch.tensor([[0.0, 0.0, 9.0, 9.0]]) + 20 * chance(2, 1)
        boxes = torch.cat([moved[:5], moved[:1] + 1, elsewhere])
        scores = torch.cat([0.3 + 0.7 * chance(5), 0.2 * chance(1), 0.1 + 0.6 * chance(2)])
        all_labels = torch.cat([found_labels[:5], found_labels[:1], torch.randint(num_classes, (2,), generator=generator)])
        order = scores.argsort(descending=True)
        annotations = Annotations(truth, labels, torch.zeros(6, dtype=torch.bool))
        detections = Detections(boxes[order], scores[order], all_labels[order])
        images.append(EvaluatedImage(number + 1, f"picture {number + 1}.jpg", SIZE, annotations, detections))
    return images


@pytest.fixture
def evaluated() -> Callable[..., ReportData]:
    """``evaluated(images, class_names, **fields)``: what a report shows of images, analysed as a run does."""

    def data(images: Sequence[EvaluatedImage], class_names: Sequence[str], **fields: Any) -> ReportData:
        matched = match_detections(images, len(class_names))
        intervals = bootstrap_precision(matched, 100) if len(images) > 1 else None
        has_detections = bool((~matched.ignored[0]).any())
        results: dict[str, Any] = {}
        if intervals is not None and matched.num_truth.any():
            by_class = zip(class_names, intervals.ap_by_class, intervals.ap50_by_class, strict=True)
            per_class = {name: {"AP": ap.value, "AP50": ap50.value} for name, ap, ap50 in by_class}
            results = {"set": {"bbox": {"AP": intervals.ap.value, "AP50": intervals.ap50.value, "per_class": per_class}}}
        return ReportData(
            "run",
            class_names,
            results=results,
            images=images,
            analysis=analyse(images, class_names, None, "set"),
            intervals={} if intervals is None else {"set": intervals},
            calibration=assess_calibration(matched) if has_detections else None,
            **fields,
        )

    return data


@pytest.fixture
def full(evaluated: Callable[..., ReportData]) -> ReportData:
    """Twelve images of three classes."""
    return evaluated(made_up_images(), ["cat", "dog", "bird"])


@pytest.fixture
def made_up() -> Callable[..., list[EvaluatedImage]]:
    """:func:`made_up_images`."""
    return made_up_images
