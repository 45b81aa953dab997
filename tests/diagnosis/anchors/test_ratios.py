from __future__ import annotations

import torch

from dettoolkit.diagnosis.anchors.ratios import fitting_ratios


def upright(ratios: list[float]) -> torch.Tensor:
    """Boxes of these heights and of width 10."""
    return torch.tensor([[0.0, 0.0, 10.0, 10.0 * ratio] for ratio in ratios])


def test_ratios_are_the_middles_of_what_there_is() -> None:
    boxes = upright([0.5] * 30 + [1.0] * 40 + [3.0] * 20)
    assert fitting_ratios(boxes, 3) == [0.5, 1.0, 3.0]
    assert fitting_ratios(boxes, 1) == [1.0]


def test_boxes_of_one_shape_have_one_ratio() -> None:
    assert fitting_ratios(upright([2.0] * 5), 3) == [2.0]


def test_the_nearest_logarithm_is_the_largest_overlap() -> None:
    # the claim that the clusters rest on, against boxes of area 1 laid on each other
    ratios = torch.tensor([0.2, 0.5, 1.0, 1.7, 4.0], dtype=torch.float64)
    sides = torch.stack([ratios.rsqrt(), ratios.sqrt()], dim=1)
    overlap = torch.minimum(sides[:, None], sides).prod(-1)
    q = torch.exp(-(ratios.log()[:, None] - ratios.log()).abs() / 2)
    torch.testing.assert_close(overlap / (2 - overlap), q / (2 - q))
