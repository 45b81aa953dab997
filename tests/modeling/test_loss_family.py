"""Each classification loss and miner in a whole detector."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dettoolkit.modeling import build_model
from dettoolkit.registry import LOSSES, MINERS
from dettoolkit.structures import Annotations

CROSS_ENTROPY = {"NAME": "CrossEntropyLoss"}
CHOICES: dict[str, dict[str, Any]] = {
    **{
        name: {"LOSSES": {"CLASSIFICATION": {"NAME": name}}}
        for name, cls in LOSSES
        if hasattr(cls, "needs_quality") and cls.__module__.startswith("dettoolkit.")
    },
    "OHEM": {"LOSSES": {"CLASSIFICATION": CROSS_ENTROPY}, "MINER": {"NAME": "OHEM"}},
    "OHEM 1:3": {"LOSSES": {"CLASSIFICATION": CROSS_ENTROPY}, "MINER": {"NAME": "OHEM", "NEGATIVES_PER_POSITIVE": 3}},
    "OHEM of a quality": {"LOSSES": {"CLASSIFICATION": {"NAME": "VarifocalLoss"}}, "MINER": {"NAME": "OHEM"}},
}


def targets(*boxes: list[float]) -> Annotations:
    count = len(boxes)
    return Annotations(
        torch.tensor(boxes).reshape(-1, 4), torch.zeros(count, dtype=torch.int64), torch.zeros(count, dtype=torch.bool)
    )


def test_all_losses_and_miners_are_tried() -> None:
    assert {"FocalLoss", "CrossEntropyLoss", "FocalStarLoss", "HingeLoss", "QualityFocalLoss", "VarifocalLoss"} <= set(CHOICES)
    assert {cls.__name__ for _, cls in MINERS if cls.__module__.startswith("dettoolkit.")} == {"AllExamples", "OHEM"}


@pytest.mark.parametrize("boxes", [[[8.0, 8.0, 40.0, 40.0]], []], ids=["a box", "no box"])
@pytest.mark.parametrize("name", CHOICES)
def test_losses_are_finite_and_reach_the_weights(name: str, boxes: list[list[float]], model_config: Any) -> None:
    model = build_model(model_config(**CHOICES[name]))
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    output = model(images, [(64, 64)] * 2, [targets(*boxes), targets()])
    assert list(output.losses) == ["loss_cls", "loss_box"]
    assert output.total.isfinite()
    output.total.backward()
    slopes = {key: parameter.grad for key, parameter in model.named_parameters()}
    assert all(slope is not None and slope.isfinite().all() for slope in slopes.values())
    # negatives at the prior are beyond the hinge's margin, and 1:3 has nothing where there is no positive
    nothing_to_learn = not boxes and name in ("HingeLoss", "OHEM 1:3")
    assert bool((slopes["head.classification.weight"] == 0).all()) == nothing_to_learn
    model.eval()
    assert model(images, [(64, 64)] * 2, [targets(*boxes), targets()]).total.isfinite()
