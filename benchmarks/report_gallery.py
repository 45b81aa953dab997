"""A report of many images in a browser: its size, how long it takes to write, to open and to answer the slider.

python -m benchmarks.report_gallery [--images N] [--detections N] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch
from tabulate import tabulate
from torch import Tensor

from benchmarks import chromium
from dettoolkit.evaluation.analysis import analyse
from dettoolkit.report import ReportData, write_report
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

CLASSES = [f"class {number}" for number in range(80)]  # as many as COCO has
OBJECTS = 7  # of an image, as in COCO
SIZE = (480, 640)

SLIDE = """(async () => {
  const slider = document.getElementById("score"), times = [];
  for (let step = 0; step < 40; step++) {
    slider.value = 0.1 + 0.02 * step;
    const start = performance.now();
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise((done) => requestAnimationFrame(() => { document.body.offsetHeight; done(); }));
    times.push(performance.now() - start);
  }
  return times;
})()"""
ACT = """(async () => {
  const start = performance.now();
  %s;
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  return performance.now() - start;
})()"""


def synthetic_image(number: int, num_detections: int) -> EvaluatedImage:
    """Return objects with detections near them, the others anywhere; scores fall as those of a detector do.

    Args:
        number: of the image, which decides everything.
        num_detections: D.
    """
    generator = torch.Generator().manual_seed(number)
    height, width = SIZE
    corner = torch.rand(OBJECTS, 2, generator=generator) * torch.tensor([width - 100.0, height - 100.0])
    sides = 20 + 80 * torch.rand(OBJECTS, 2, generator=generator)
    labels = torch.randint(len(CLASSES), (OBJECTS,), generator=generator)
    truth = Annotations(torch.cat([corner, corner + sides], 1), labels, torch.zeros(OBJECTS, dtype=torch.bool))
    which = torch.arange(num_detections) % OBJECTS
    spread = torch.linspace(2, 60, num_detections)[:, None]
    near = corner[which] + torch.randn(num_detections, 2, generator=generator) * spread
    found = torch.where(
        torch.rand(num_detections, generator=generator) < 0.8, labels[which], (labels[which] + 1) % len(CLASSES)
    )
    scores = torch.rand(num_detections, generator=generator).pow(3).clamp(min=0.05).sort(descending=True).values
    detections = Detections(torch.cat([near, near + sides[which]], 1), scores, found)
    return EvaluatedImage(number, f"val/{number:012d}.jpg", SIZE, truth, detections)


def synthetic_picture(number: int) -> Tensor:
    """Return uint8 RGB ``[3, H, W]`` with as much detail as a photograph: noise at each scale, weaker the finer it is."""
    generator = torch.Generator().manual_seed(number)
    picture = torch.full((1, 3, *SIZE), 128.0)
    for cells, strength in ((3, 60.0), (12, 30.0), (48, 15.0), (160, 8.0)):
        noise = torch.randn(1, 3, cells * 3 // 4, cells, generator=generator) * strength
        picture += torch.nn.functional.interpolate(noise, size=SIZE, mode="bilinear", align_corners=False)
    return picture[0].clamp(0, 255).to(torch.uint8)


def write_page(folder: Path, num_images: int, num_detections: int) -> tuple[Path, float, float]:
    """Write a report and return its path and the seconds that analysis and report took; pictures are made beforehand."""
    images = [synthetic_image(number, num_detections) for number in range(num_images)]
    pictures = [synthetic_picture(number) for number in range(min(100, num_images))]
    start = time.perf_counter()
    analysis = analyse(images, CLASSES)
    analysed = time.perf_counter()
    data = ReportData("synthetic", CLASSES, images=images, analysis=analysis)
    path = write_report(folder, data, lambda number: pictures[number % len(pictures)])
    return path, analysed - start, time.perf_counter() - analysed


def measure(path: Path, profile: Path) -> list[tuple[str, float]]:
    """Return what takes how many milliseconds in the browser: opening, the slider, an order, a search, a page, an image."""
    with chromium.Chromium(profile) as browser:
        browser.open(path.as_uri())
        opened = browser.run("performance.getEntriesByType('navigation')[0].domInteractive")
        ready = browser.run("performance.getEntriesByType('navigation')[0].loadEventEnd")
        browser.run("document.getElementById('gallery').scrollIntoView({ behavior: 'instant' })")
        browser.settle()
        slides = browser.run(SLIDE)
        rows = [("the page is read (domInteractive)", opened), ("the page is ready (load)", ready)]
        rows += [("slider: counts and boxes redrawn, median", median(slides)), ("slider, slowest of 40", max(slides))]
        search = "const search = document.getElementById('search'); search.value = {}; search.dispatchEvent(new Event('input'))"
        acts = {
            "slider let go: images in order": "document.getElementById('score').dispatchEvent(new Event('change'))",
            "search": search.format("'00123'"),
            "search emptied": search.format("''"),
            "next page": "document.getElementById('page-on').click()",
            "an image opened": "document.querySelector('.card').click()",
        }
        rows += [(name, browser.run(ACT % act)) for name, act in acts.items()]
        nodes = browser.run("document.getElementsByTagName('*').length")
        assert not browser.complaints, browser.complaints
    return [*rows, ("elements of the page (not milliseconds)", nodes)]


def main() -> None:
    """Write a page, measure it and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=50, help="of an image")
    parser.add_argument("--keep", type=Path, help="folder to write the page to; else it is deleted")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        path, analysed, written = write_page(folder, arguments.images, arguments.detections)
        size = path.stat().st_size
        rows = measure(path, Path(temporary) / "profile")
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "pillow", "jinja2"))
    print(f"{dt.date.today()}: Python {platform.python_version()}, {versions}; {arguments.images:,} images, ", end="")
    print(f"{arguments.detections} detections each; analysis {analysed:.1f} s, report {written:.1f} s, {size / 1e6:.1f} MB\n")
    print(tabulate([(name, f"{value:,.0f}") for name, value in rows], ["what", "ms"], colalign=("left", "right")))


if __name__ == "__main__":
    main()
