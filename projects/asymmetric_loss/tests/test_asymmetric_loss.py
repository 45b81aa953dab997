"""AsymmetricLoss against its formula, focal loss and extreme logits; its config builds and trains."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from dettoolkit.config import load_config
from dettoolkit.errors import ConfigError
from dettoolkit.modeling import build_model
from dettoolkit.modeling.losses import sigmoid_focal_loss
from dettoolkit.registry import LOSSES
from dettoolkit.structures import Annotations

CONFIG = Path(__file__).parents[1] / "configs" / "asymmetric_loss.yaml"


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    load_config(CONFIG)  # imports what PLUGINS names


def asymmetric_loss(**parameters: Any) -> Any:
    return LOSSES.get("AsymmetricLoss")(**parameters)


def test_it_is_the_formula() -> None:
    # one anchor of class 0 with p = 0.8 for it and 0.3 for the other; gamma+ 1, gamma- 2, m 0.1:
    # (1 - 0.8) * -log(0.8) + (0.3 - 0.1)^2 * -log(1 - 0.2) = 0.2 * 0.223144 + 0.04 * 0.223144
    logits = torch.logit(torch.tensor([[0.8, 0.3]], dtype=torch.float64))
    loss = asymmetric_loss(gamma_positive=1.0, gamma_negative=2.0, margin=0.1)
    assert loss(logits, torch.tensor([0])).item() == pytest.approx(0.24 * -math.log(0.8), rel=1e-6)


def test_equal_exponents_without_margin_are_focal_loss_without_alpha() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(50, 4) * 5, torch.randint(-2, 4, (50,))
    ours = asymmetric_loss(gamma_positive=2.0, gamma_negative=2.0, margin=0.0)(logits, labels, by_anchor=True)
    torch.testing.assert_close(ours, sigmoid_focal_loss(logits, labels, alpha=None, gamma=2.0, by_anchor=True))


def test_wrong_classes_below_the_margin_cost_nothing_and_get_no_gradient() -> None:
    logits = torch.logit(torch.tensor([[0.04, 0.01]])).requires_grad_()
    loss = asymmetric_loss(margin=0.05)(logits, torch.tensor([-1]))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_loss_and_gradient_are_finite_for_logits_of_any_size(margin: float) -> None:
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [0.0, 0.0]], requires_grad=True)
    loss = asymmetric_loss(margin=margin)(logits, torch.tensor([1, -1, -2]))
    loss.backward()
    assert logits.grad is not None
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert not logits.grad[2].any()  # ignored


def test_parameters_out_of_range_are_refused_with_what_came() -> None:
    with pytest.raises(ConfigError, match=r"MODEL.X \(AsymmetricLoss\): gamma_negative expects 0, or 1 and more, got 0.5"):
        LOSSES.build({"NAME": "AsymmetricLoss", "GAMMA_NEGATIVE": 0.5}, "MODEL.X")
    with pytest.raises(ConfigError, match=r"margin expects a number in \[0, 1\), got 1.0"):
        LOSSES.build({"NAME": "AsymmetricLoss", "MARGIN": 1.0}, "MODEL.X")


def test_the_config_builds_a_detector_that_learns() -> None:
    torch.manual_seed(0)
    model = build_model(load_config(CONFIG, ["MODEL.NUM_CLASSES", "2"]))
    assert type(model.criterion.classification_loss).__name__ == "AsymmetricLoss"
    images, sizes = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8), [(64, 64)] * 2
    target = Annotations(torch.tensor([[8.0, 8.0, 48.0, 40.0]]), torch.tensor([1]), torch.tensor([False]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        output = model(images, sizes, [target, target])
        losses.append(output.losses["loss_cls"].item())
        optimizer.zero_grad()
        output.total.backward()
        optimizer.step()
    assert losses[-1] < losses[0]
