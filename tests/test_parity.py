"""Every comparison of ``python -m benchmarks.parity`` is a test: dettoolkit computes what the references compute."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from dettoolkit.structures import Detections

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _benchmarks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def module(name: str) -> Any:
    return importlib.import_module(f"benchmarks.parity.{name}")


def failed(comparisons: Iterable[Any], at_least: int) -> list[Any]:
    """Return the comparisons that are not within their tolerance, of a table that must not be shorter than ``at_least``."""
    table = list(comparisons)
    assert len(table) >= at_least
    return [item for item in table if not item.passed]


def test_one_picture_through_detectron2s_retinanet(real_data: Path) -> None:
    if not (real_data / "detectron2_reference").is_dir():
        pytest.skip("no detectron2_reference among the real data")
    assert failed(module("detectron2_image").compare(real_data), at_least=25) == []


@pytest.mark.parametrize("name", ["retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2"])
def test_torchvisions_detectors_with_the_same_random_weights(name: str) -> None:
    assert failed(module("torchvision_detectors").compare(name), at_least=8) == []


def test_parts_of_the_dense_path_are_torchvisions() -> None:
    assert failed(module("torchvision_parts").compare(), at_least=11) == []


def test_losses_are_their_formulas_in_float64() -> None:
    assert failed(module("loss_formulas").compare(), at_least=22) == []


def test_evaluation_is_pycocotools() -> None:
    assert failed(module("coco_numbers").compare(), at_least=1) == []


# the comparisons themselves must be able to fail


@pytest.mark.parametrize(("difference", "passed"), [(0.9, True), (1.0, True), (1.1, False), (float("nan"), False)])
def test_a_comparison_passes_within_its_tolerance_only(difference: float, passed: bool) -> None:
    assert module("comparison").Comparison("", "", difference, 1.0, "").passed is passed


def test_differences_worked_by_hand() -> None:
    comparison = module("comparison")
    assert comparison.absolute(torch.tensor([1.0, 5.0]), torch.tensor([1.5, 4.0])) == 1.0
    assert comparison.relative(torch.tensor([1.0, 5.0]), torch.tensor([1.5, 4.0])) == 0.25
    assert comparison.absolute(torch.zeros(2), torch.zeros(3)) == float("inf")
    assert comparison.relative_each({"a": 1.0}, {"b": 1.0}) == float("inf")


def test_detections_may_change_places_and_nothing_else() -> None:
    comparison = module("comparison")
    boxes, scores = torch.tensor([[0.0, 0, 10, 10], [0, 0, 20, 20]]), torch.tensor([0.5, 0.5])
    found = Detections(boxes, scores, torch.tensor([0, 1]))
    assert comparison.of_detections([found], [found[torch.tensor([1, 0])]]) == (0.0, 0.0)
    moved = Detections(boxes + torch.tensor([0.0, 0, 0, 0.5]), scores + 0.25, found.labels)
    assert comparison.of_detections([moved], [found]) == (0.25, 0.5)
    apart = (float("inf"), float("inf"))
    assert comparison.of_detections([found[:1]], [found]) == apart
    assert comparison.of_detections([found], [Detections(boxes, scores, torch.tensor([0, 0]))]) == apart
    assert (
        comparison.of_detections(
            [Detections(boxes[:1].repeat(2, 1), scores, torch.tensor([0, 0]))],
            [Detections(boxes, scores, torch.tensor([0, 0]))],
        )
        == apart
    )
