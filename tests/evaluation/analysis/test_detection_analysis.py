"""The whole analysis: its parts agree with each other, and it is plain data."""

from __future__ import annotations

import json

import pytest
import torch

from dettoolkit.evaluation.analysis.detection_analysis import analyse
from dettoolkit.evaluation.analysis.operating_points import Wish
from dettoolkit.structures import Annotations, Detections, EvaluatedImage

NAMES = ("cat", "dog", "never seen")


def images() -> list[EvaluatedImage]:
    """Return 60 images of two objects, of which detections find many and miss some."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for number in range(60):
        corners = torch.tensor([[20.0, 20.0], [150.0, 120.0]]) + torch.rand(2, 2, generator=generator) * 10
        truth = torch.cat([corners, corners + 60], dim=1)
        found = torch.cat([truth + torch.randn(2, 4, generator=generator) * 8, truth[:1] + 100])
        scores = torch.rand(3, generator=generator).sort(descending=True).values
        annotations = Annotations(truth, torch.tensor([0, 1]), torch.zeros(2, dtype=torch.bool))
        detections = Detections(found, scores, torch.tensor([0, 1, 1]))
        made.append(EvaluatedImage(number, f"{number}.jpg", (300, 300), annotations, detections))
    return made


def test_the_parts_agree_with_each_other() -> None:
    analysis = analyse(images(), NAMES, Wish.parse("recall>=0.5"), "pets")
    assert (analysis.dataset, analysis.num_images) == ("pets", 60)
    points = analysis.operating_points[:2]
    assert all(point.is_met for point in points)
    assert analysis.thresholds.by_class["never seen"] is None
    ranked = analysis.image_scores
    assert sum(score.true_positives for score in ranked) == sum(point.true_positives for point in points)
    assert sum(score.false_positives for score in ranked) == sum(point.false_positives for point in points)
    assert sum(score.misses for score in ranked) == sum(point.misses for point in points)
    # pairs by place alone, of objects that do not touch each other, are those of the matching
    assert int(analysis.confusion.counts.diagonal().sum()) == sum(point.true_positives for point in points)
    assert analysis.confusion.counts[:3].sum() == 120
    sizes = analysis.slices["border"]
    assert sizes[0].ap50 == pytest.approx(analysis.error_costs.ap, abs=1e-9)  # nothing is at the border
    assert sum(len(parts) for parts in analysis.slices.values()) == 3 + 4 + 5 + 3 + 2


def test_it_is_plain_data_without_nan() -> None:
    data = json.loads(json.dumps(analyse(images(), NAMES).to_dict(), allow_nan=False))
    assert data["wish"] == "best_f1"
    assert len(data["worst_images"]) == len(data["best_images"]) == 50
    assert data["worst_images"][0]["f1"] <= data["best_images"][0]["f1"]
    assert data["operating_points"]["never seen"]["threshold"] is None
    assert set(data["error_types"]["classes"]) == set(NAMES)


def test_images_without_anything_are_analysed_too() -> None:
    empty = EvaluatedImage(1, "a.jpg", (10, 10), Annotations.empty(), Detections.empty())
    data = json.dumps(analyse([empty], ("cat",)).to_dict(), allow_nan=False)
    assert json.loads(data)["error_types"]["ap"] is None
