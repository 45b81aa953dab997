from __future__ import annotations

import pytest
import torch
from torch import nn

from dettoolkit.errors import ConfigError, TrainingError
from dettoolkit.registry import OPTIMIZERS
from dettoolkit.solver import describe_groups, parameter_groups


class Everything(nn.Module):
    """One of each kind of parameter; the names say the group."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.frozen = nn.Conv2d(4, 4, 1).requires_grad_(False)
        self.batch_norm = nn.BatchNorm2d(4)
        self.sync_norm = nn.SyncBatchNorm(4)
        self.group_norm = nn.GroupNorm(2, 4)
        self.layer_norm = nn.LayerNorm([2, 4])  # parameters of two dimensions
        self.attention = nn.MultiheadAttention(4, 1)
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.gamma = nn.Parameter(torch.ones(4))
        self.shared = self.conv


def _names(model: nn.Module, groups: list[dict]) -> dict[str, set[str]]:
    by_id = {id(parameter): name for name, parameter in model.named_parameters()}
    return {group["name"]: {by_id[id(parameter)] for parameter in group["params"]} for group in groups}


def test_every_parameter_that_is_not_frozen_is_in_one_group() -> None:
    model = Everything()
    groups = parameter_groups(model, 0.1, 0.2, 0.3)
    assert _names(model, groups) == {
        "weights": {"conv.weight", "attention.in_proj_weight", "attention.out_proj.weight"},
        "norms": {f"{kind}_norm.{name}" for kind in ("batch", "sync", "group", "layer") for name in ("weight", "bias")}
        | {"scale", "gamma"},
        "biases": {"conv.bias", "attention.in_proj_bias", "attention.out_proj.bias"},
    }
    assert {group["name"]: group["weight_decay"] for group in groups} == {"weights": 0.1, "norms": 0.2, "biases": 0.3}
    count = sum(len(group["params"]) for group in groups)
    assert count == sum(parameter.requires_grad for parameter in model.parameters())


def test_without_decays_of_their_own_norms_and_biases_follow_the_weights() -> None:
    assert {group["weight_decay"] for group in parameter_groups(Everything(), 0.1, None, None)} == {0.1}


def test_a_model_that_is_all_frozen_is_refused() -> None:
    with pytest.raises(TrainingError, match="every parameter of the model is frozen"):
        parameter_groups(nn.Linear(1, 1).requires_grad_(False), 0.1, None, None)


def test_sgd_steps_as_worked_by_hand() -> None:
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.constant_(model.bias, 1.0)
    node = {"NAME": "SGD", "MOMENTUM": 0.5, "WEIGHT_DECAY": 0.1, "WEIGHT_DECAY_BIAS": 0.0}
    optimizer = OPTIMIZERS.build(node, "SOLVER.OPTIMIZER", model=model, lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.ones(1, 1)).sum().backward()  # both gradients are 1
        optimizer.step()
    # weight: step 1 velocity 1 + 0.1 x 2 = 1.2, weight 1.88; step 2 velocity 0.5 x 1.2 + 1.188 = 1.788, weight 1.7012
    assert model.weight.item() == pytest.approx(1.7012, abs=1e-6)
    # bias: velocity 1, then 1.5: 1 - 0.1 - 0.15
    assert model.bias.item() == pytest.approx(0.75, abs=1e-6)


def test_adamw_decays_weights_only_by_default() -> None:
    model = nn.Sequential(nn.Linear(1, 2), nn.LayerNorm(2))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = OPTIMIZERS.build({"NAME": "AdamW"}, "SOLVER.OPTIMIZER", model=model, lr=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        share = 1 - 0.1 * 0.05 if name == "0.weight" else 1.0  # each step takes lr x weight_decay away
        torch.testing.assert_close(parameter.detach(), before[name] * share)


def test_groups_are_described_for_the_log() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    optimizer = OPTIMIZERS.build({"NAME": "AdamW"}, "SOLVER.OPTIMIZER", model=model, lr=0.1)
    assert describe_groups(optimizer) == (
        "weights: 1 tensors, 12 values, weight decay 0.05; norms: 2 tensors, 8 values, weight decay 0; "
        "biases: 1 tensors, 4 values, weight decay 0"
    )


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"NAME": "Adam"}, r"SOLVER.OPTIMIZER.NAME: OPTIMIZERS has no 'Adam'. Did you mean 'AdamW'\?"),
        ({"NAME": "SGD", "MOMENTUM": "high"}, "SOLVER.OPTIMIZER.MOMENTUM: expected float, got 'high'"),
        ({"NAME": "SGD", "LR": 0.1}, "SOLVER.OPTIMIZER.LR: is set by the parts around SGD"),
        ({"NAME": "SGD", "MOMENTUM": -1.0}, r"SOLVER.OPTIMIZER \(SGD\): Invalid momentum value: -1.0"),
        ({"NAME": "SGD", "NESTEROV": True, "MOMENTUM": 0.0}, "Nesterov momentum requires a momentum"),
        ({"NAME": "AdamW", "BETAS": [0.9]}, "SOLVER.OPTIMIZER.BETAS: expected a list of 2: float, float"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(node: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OPTIMIZERS.build(node, "SOLVER.OPTIMIZER", model=nn.Linear(1, 1), lr=0.1)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_a_first_step_that_gradient_scaling_leaves_out_leaves_no_trace(name: str) -> None:
    one, other = (nn.Linear(64, 64, bias=False) for _ in range(2))
    other.load_state_dict(one.state_dict())
    optimizer, untouched = (OPTIMIZERS.build({"NAME": name}, "OPTIMIZER", model=model, lr=0.1) for model in (one, other))
    one.weight.grad = torch.full((64, 64), float("nan"))
    optimizer.found_inf = torch.ones(())  # as torch.amp.GradScaler says it
    optimizer.step()
    del optimizer.found_inf
    for model, each in ((one, optimizer), (other, untouched)):
        model.weight.grad = torch.ones(64, 64)
        each.step()
    assert torch.equal(one.weight, other.weight)


def test_momentum_begins_with_the_first_gradient() -> None:
    ours, plain = nn.Linear(8, 8), nn.Linear(8, 8)
    plain.load_state_dict(ours.state_dict())
    both = (
        OPTIMIZERS.build({"NAME": "SGD"}, "OPTIMIZER", model=ours, lr=0.1),
        torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, fused=True),
    )
    for _ in range(3):
        for model, optimizer in zip((ours, plain), both, strict=True):
            optimizer.zero_grad()
            model(torch.ones(2, 8)).square().sum().backward()
            optimizer.step()
    assert all(torch.equal(*pair) for pair in zip(ours.parameters(), plain.parameters(), strict=True))
