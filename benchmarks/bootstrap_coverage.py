"""How often the bootstrap interval of AP covers the AP of the population that the images were drawn from.

python benchmarks/bootstrap_coverage.py [--draws N] [--images N] [--replicates N] [--population N] [--only NAME ...]

A population of images is made once, with two detectors for it; its AP is the truth. Then images are drawn from it again and
again, each draw gets its intervals, and it is counted how many hold the truth.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

import numpy as np
import torch
from tabulate import tabulate

from dettoolkit.evaluation.analysis.bootstrap import AP, AP50, resample, summarise
from dettoolkit.evaluation.analysis.intervals import IntervalMethod, interval_ends
from dettoolkit.evaluation.analysis.matching import MatchedDetections, match_detections
from dettoolkit.evaluation.analysis.resampling import ResampledPrecision
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

SIDE = 640.0
METHODS: tuple[IntervalMethod, ...] = get_args(IntervalMethod)
NUMBERS = ("AP", "AP50", "AP of the rarest class", "AP50 of the rarest class", "AP of B - A")
AT_50 = 0  # the index of the IoU threshold 0.5
CONFIDENCE = 0.95
HEADERS = ["population", "number", "truth", *METHODS, "width"]


@dataclass(frozen=True)
class Scenario:
    """A population with two detectors.

    Args:
        name: of it.
        classes: K; class k has a share of the objects that goes with 1 / (k + 1).
        skill: of the detectors, in deviations of what makes an object hard.
    """

    name: str
    classes: int
    skill: tuple[float, float]


SCENARIOS = (
    Scenario("weak", 5, (-0.9, -0.8)),
    Scenario("fair", 5, (0.5, 0.6)),
    Scenario("good", 2, (1.5, 1.6)),
    Scenario("one class", 1, (0.5, 0.6)),
)


def populate(scenario: Scenario, num_images: int, seed: int = 0) -> list[MatchedDetections]:
    """Return what the two detectors find in the same images, matched."""
    truths = np.random.default_rng([seed, 0])
    scenes = [_scene(scenario.classes, truths) for _ in range(num_images)]
    matched = []
    for number, skill in enumerate(scenario.skill, start=1):
        generator = np.random.default_rng([seed, number])
        images = [_detect(index, truth, hard, scenario, skill, generator) for index, (truth, hard) in enumerate(scenes)]
        matched.append(match_detections(images, scenario.classes))
    return matched


def _scene(num_classes: int, generator: np.random.Generator) -> tuple[Annotations, np.ndarray]:
    """Return an image's objects, few in most and many in some, and how hard each is: the image has a part in that."""
    count = int(generator.negative_binomial(1.5, 0.2))  # a mean of 6, a deviation of 5.5
    share = 1 / np.arange(1, num_classes + 1)
    labels = generator.choice(num_classes, count, p=share / share.sum())
    hard = generator.normal(0, 0.7) + generator.normal(0, 0.8, count)
    none_ignored = torch.zeros(count, dtype=torch.bool)
    return Annotations(torch.from_numpy(_boxes(count, generator)), torch.from_numpy(labels), none_ignored), hard


def _boxes(count: int, generator: np.random.Generator) -> np.ndarray:
    corners = generator.uniform(0, SIDE - 150, (count, 2))
    return np.hstack([corners, corners + generator.uniform(20, 150, (count, 2))]).astype(np.float32)


def _detect(
    index: int, truth: Annotations, hard: np.ndarray, scenario: Scenario, skill: float, generator: np.random.Generator
) -> EvaluatedImage:
    """Return an image as a detector sees it: easy objects are found, well and with high scores, and there are false alarms."""
    quality = skill - hard + generator.normal(0, 0.6, len(hard))
    found = np.flatnonzero(quality > -1)
    boxes, quality = truth.boxes.numpy()[found], quality[found]
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    boxes = boxes + generator.normal(size=boxes.shape) * sides * 0.06 * np.exp(-quality / 2)[:, None]
    alarms = int(generator.poisson(4))
    boxes = np.vstack([boxes, _boxes(alarms, generator)]).astype(np.float32)
    labels = np.concatenate([truth.labels.numpy()[found], generator.integers(0, scenario.classes, alarms)])
    logits = np.concatenate([quality + generator.normal(0, 0.7, len(found)), generator.normal(-0.8, 0.8, alarms)])
    scores = torch.from_numpy(1 / (1 + np.exp(-logits))).float()
    detections = Detections(torch.from_numpy(boxes), scores, torch.from_numpy(labels))
    return EvaluatedImage(index, f"{index}.jpg", (int(SIDE), int(SIDE)), truth, detections)


def numbers_of(precisions: Sequence[ResampledPrecision], weights: np.ndarray) -> np.ndarray:
    """Return ``[B, 5]``: AP and AP50, those of the rarest class, and by how much the AP of the second detector is larger."""
    first, second = (summarise(precision(weights), AT_50) for precision in precisions)
    columns = (first[:, AP, 0], first[:, AP50, 0], first[:, AP, -1], first[:, AP50, -1], (second - first)[:, AP, 0])
    return np.stack(columns, axis=1)


def covered(scenario: Scenario, num_draws: int, num_images: int, num_replicates: int, num_population: int) -> list[list[str]]:
    """Return a row a number: the truth, the share of draws whose interval holds it by method, the default's mean width."""
    population = populate(scenario, num_population)
    truth = numbers_of([ResampledPrecision(one) for one in population], np.ones((1, num_population)))[0]
    hits, widths = np.zeros((len(METHODS), len(NUMBERS))), np.zeros(len(NUMBERS))
    for draw in range(num_draws):
        chosen = np.random.default_rng([1, draw]).integers(0, num_population, num_images)  # drawn independently
        precisions = [ResampledPrecision(one.of_images(chosen)) for one in population]
        drawn = resample(partial(numbers_of, precisions), num_images, num_replicates, draw)
        for row, method in enumerate(METHODS):
            low, high = interval_ends(*drawn, CONFIDENCE, method)
            hits[row] += (low <= truth) & (truth <= high)
            widths += (high - low) * (method == "widened")
    shares = (hits / num_draws).T
    return [
        [
            scenario.name,
            name,
            f"{truth[i]:.3f}",
            *(f"{100 * share:.1f} %" for share in shares[i]),
            f"{widths[i] / num_draws:.3f}",
        ]
        for i, name in enumerate(NUMBERS)
        if scenario.classes > 1 or "rarest" not in name
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000, metavar="N", help="draws of images (default: 1000)")
    parser.add_argument("--images", type=int, default=100, metavar="N", help="images a draw (default: 100)")
    parser.add_argument("--replicates", type=int, default=1000, metavar="N", help="of each bootstrap (default: 1000)")
    parser.add_argument("--population", type=int, default=5000, metavar="N", help="images to draw from (default: 5000)")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=f"of {', '.join(names)}")
    given = parser.parse_args()
    print(f"{given.draws} draws of {given.images} images, {given.replicates} replicates; numpy {np.__version__}")
    started = time.perf_counter()
    rows = []
    for scenario in SCENARIOS:
        if scenario.name in given.only:
            rows += covered(scenario, given.draws, given.images, given.replicates, given.population)
    print(tabulate(rows, HEADERS, tablefmt="github", disable_numparse=True))
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
