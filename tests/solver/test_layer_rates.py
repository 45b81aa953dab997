"""Learning rates by name: which parameter gets which, under any optimizer, schedule and resume."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import nn

from dettoolkit.errors import ConfigError
from dettoolkit.registry import OPTIMIZERS
from dettoolkit.solver import parameter_names, set_layer_rates


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1))
        self.head = nn.Linear(2, 1)


def _rates(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, float]:
    pairs = zip(optimizer.param_groups, parameter_names(optimizer, model), strict=True)
    return {name: group["lr"] for group, names in pairs for name in names}


def _optimizer(model: nn.Module, name: str = "SGD", **options: Any) -> Any:
    return OPTIMIZERS.build({"NAME": name, **options}, "SOLVER.OPTIMIZER", model=model, lr=0.1)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_each_parameter_has_its_rate_and_the_last_pattern_decides(name: str) -> None:
    model = Net()
    optimizer = _optimizer(model, name)
    set_layer_rates(optimizer, model, [{"PATTERN": "backbone.*", "FACTOR": 0.1}, {"PATTERN": "backbone.2.*", "FACTOR": 0.5}])
    expected = {"backbone.0": 0.01, "backbone.1": 0.01, "backbone.2": 0.05, "head": 0.1}
    found = _rates(optimizer, model)
    assert found.keys() == {name for name, _ in model.named_parameters()}
    for name_of_parameter, rate in found.items():
        assert rate == pytest.approx(expected[name_of_parameter.rpartition(".")[0]])


def test_groups_keep_their_other_settings_and_the_full_rate_comes_first() -> None:
    model = Net()
    optimizer = _optimizer(model, WEIGHT_DECAY_NORM=0.0)
    set_layer_rates(optimizer, model, [{"PATTERN": "backbone.*", "FACTOR": 0.1}])
    groups = [(group["name"], group["weight_decay"], len(group["params"])) for group in optimizer.param_groups]
    assert groups == [
        ("weights", 1e-4, 1),
        ("biases", 1e-4, 1),
        ("weights at 0.1", 1e-4, 2),
        ("norms at 0.1", 0.0, 2),
        ("biases at 0.1", 1e-4, 2),
    ]
    assert {group["momentum"] for group in optimizer.param_groups} == {0.9}


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_a_first_step_is_as_much_shorter(name: str) -> None:
    model, options = Net(), {"WEIGHT_DECAY": 0.0, "WEIGHT_DECAY_NORM": 0.0, "WEIGHT_DECAY_BIAS": 0.0}
    optimizer = _optimizer(model, name, **options)
    set_layer_rates(optimizer, model, [{"PATTERN": "head.*", "FACTOR": 0.25}])
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()  # both move by the rate where the gradient is 1: SGD as it is, Adam by m / sqrt(v) = 1
    for key, value in model.named_parameters():
        moved = before[key] - value.detach()
        torch.testing.assert_close(moved, torch.full_like(moved, 0.025 if key.startswith("head") else 0.1), rtol=1e-4, atol=0)


def test_nothing_is_changed_without_patterns() -> None:
    model = Net()
    optimizer = _optimizer(model)
    groups = optimizer.param_groups
    set_layer_rates(optimizer, model, [])
    assert optimizer.param_groups is groups


def test_what_was_found_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    model = Net()
    with caplog.at_level(logging.INFO):
        set_layer_rates(_optimizer(model), model, [{"PATTERN": "backbone.?.weight", "FACTOR": 0.5}])
    # 2 * 1 + 2 + 2 * 2 weights
    assert "SOLVER.LAYER_RATES backbone.?.weight: 3 tensors, 8 values at 0.5 of the rate" in caplog.text


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("backbon.*", r"LAYER_RATES\.0: no parameter of Net is called 'backbon\.\*'\. Did you mean 'backbone'\? It has: back"),
        (
            "head",
            r"no parameter of Net is called 'head'\. Did you mean 'head\.\*'\? It has: backbone\.0, .*, head\.weight, head",
        ),
        ("frozen.*", r"'frozen\.\*' matches frozen parameters only"),
    ],
)
def test_a_pattern_that_does_nothing_is_refused(pattern: str, message: str) -> None:
    model = Net()
    model.frozen = nn.Linear(1, 1).requires_grad_(False)
    with pytest.raises(ConfigError, match=message):
        set_layer_rates(_optimizer(model), model, [{"PATTERN": pattern, "FACTOR": 0.5}])
