"""Weighted box fusion against the numbers of its authors' package, ensemble-boxes 1.0.9."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dettoolkit.modeling.dense.nms import WeightedBoxFusion
from dettoolkit.modeling.dense.nms.grid import Grid
from dettoolkit.structures import Detections

# three views of four objects, thousandths of the picture; the second view misses the fourth object
BASE = torch.tensor([[100.0, 100, 300, 400], [150, 120, 330, 420], [500, 500, 900, 800], [50, 600, 250, 950]])
LABELS = torch.tensor([0, 1, 1, 0])


def three_views() -> Detections:
    views = []
    for view in range(3):
        seen = torch.tensor([0, 1, 2] if view == 1 else [0, 1, 2, 3])
        shift = torch.tensor([10.0 * (view - 1), 5.0 * view, 8.0 * view, -10.0 * (view - 1)])
        boxes = BASE[seen] + shift * (1 + 0.5 * seen[:, None])
        views.append((boxes, 0.9 - 0.17 * seen - 0.06 * view, LABELS[seen]))
    boxes, scores, labels = zip(*views, strict=True)
    return Detections(torch.cat(boxes), torch.cat(scores), torch.cat(labels))


# ensemble_boxes.weighted_boxes_fusion(..., iou_thr=0.55, conf_type="avg")
EXPECTED = [
    [99.5238, 104.7619, 307.6191, 400.4762],
    [149.1045, 127.0522, 341.2836, 420.8955],
    [498.4, 509.2, 914.72, 801.6],
    [25.0, 600.0, 250.0, 975.0],
    [75.0, 625.0, 290.0, 925.0],
]


def test_averages_as_the_authors_package() -> None:
    candidates = three_views()
    found = WeightedBoxFusion()(candidates, torch.full((len(candidates),), 3))
    torch.testing.assert_close(found.boxes, torch.tensor(EXPECTED), rtol=0, atol=1e-3)
    assert found.scores.tolist() == pytest.approx([0.84, 0.67, 0.5, 0.13, 0.09])
    assert found.labels.tolist() == [0, 1, 1, 0, 0]


def test_best_scores_as_the_authors_package() -> None:
    found = WeightedBoxFusion(score="max")(three_views())
    assert found.scores.tolist() == pytest.approx([0.9, 0.73, 0.56, 0.39, 0.27])


@pytest.mark.parametrize("seed", range(4))
def test_boxes_are_looked_for_near_by_and_none_is_missed(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small boxes, a few of the whole image, some outside of the others, some turned inside out: as if each asked all."""
    random = np.random.default_rng(seed)
    centres = random.uniform(-20, 300, (60, 2))[random.integers(0, 60, 1500)] + random.normal(0, 3, (1500, 2))
    sides = random.uniform(-1, 40, (1500, 2)) + 300 * (random.random((1500, 1)) < 0.01)
    boxes = torch.from_numpy(np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)).float()
    labels = torch.from_numpy(random.integers(0, 2, 1500))
    given = Detections(boxes, torch.from_numpy(random.random(1500)).float(), labels)
    near_by = WeightedBoxFusion(0.3)(given)
    assert Grid(boxes.double().numpy()).num_cells > 100
    monkeypatch.setattr("dettoolkit.modeling.dense.nms.grid._MOST_CELLS", 1)
    everywhere = WeightedBoxFusion(0.3)(given)
    assert 60 < len(near_by) < 1500
    for name in ("boxes", "scores", "labels"):
        assert torch.equal(getattr(near_by, name), getattr(everywhere, name))


def test_one_place_of_many_boxes_needs_no_extent() -> None:
    given = Detections(torch.zeros(40, 4), torch.linspace(0.9, 0.1, 40), torch.zeros(40, dtype=torch.int64))
    assert len(WeightedBoxFusion()(given)) == 40  # without an area nothing overlaps


def test_a_box_that_one_view_only_could_show_keeps_its_score() -> None:
    candidates = three_views()
    num_views = torch.tensor([1 if box[1] >= 600 else 3 for box in candidates.boxes.tolist()])
    assert WeightedBoxFusion()(candidates, num_views).scores.tolist() == pytest.approx([0.84, 0.67, 0.5, 0.39, 0.27])


def test_classes_are_fused_apart_unless_class_agnostic() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8]])
    given = Detections(boxes, torch.tensor([0.6, 0.9]), torch.tensor([0, 1]))
    assert WeightedBoxFusion()(given).labels.tolist() == [1, 0]
    (together,) = WeightedBoxFusion(class_agnostic=True)(given).boxes.tolist()
    assert together == pytest.approx([0, 0, 10, (0.6 * 10 + 0.9 * 8) / 1.5])


def test_the_order_of_the_candidates_does_not_matter() -> None:
    given = three_views()
    mixed = given[torch.tensor([6, 2, 10, 0, 4, 8, 1, 9, 3, 7, 5])]
    torch.testing.assert_close(WeightedBoxFusion()(mixed).boxes, WeightedBoxFusion()(given).boxes)


def test_no_candidates() -> None:
    assert len(WeightedBoxFusion()(Detections.empty())) == 0
