"""Freezing by name: parameters, and the statistics of norms."""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from torch import nn

from dettoolkit.errors import ConfigError
from dettoolkit.solver import freeze


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
        self.body = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.5))
        self.plain = nn.BatchNorm2d(2, affine=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.plain(self.body(self.stem(x)))


def _frozen(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if not parameter.requires_grad}


def test_what_a_pattern_matches_is_not_trained() -> None:
    model = Net()
    freeze(model, ["stem.*", "body.0.bias"])
    assert _frozen(model) == {"stem.0.weight", "stem.0.bias", "stem.1.weight", "stem.1.bias", "body.0.bias"}


def test_frozen_norms_keep_their_statistics_whatever_the_mode() -> None:
    model = Net()
    freeze(model, ["stem*"])
    for tried in (model, copy.deepcopy(model)):
        before = {name: buffer.clone() for name, buffer in tried.named_buffers()}
        tried.eval()
        tried.train()
        tried(torch.randn(4, 1, 3, 3) + 5)
        changed = {name for name, buffer in tried.named_buffers() if not torch.equal(buffer, before[name])}
        assert {name.split(".")[0] for name in changed} == {"body", "plain"}
        assert not tried.stem[1].training
        assert tried.body[1].training


def test_a_norm_of_which_something_is_trained_learns_its_statistics_too() -> None:
    model = Net()
    freeze(model, ["stem.*.weight"])
    assert model.train().stem[1].training


def test_statistics_of_a_norm_without_parameters_can_be_named_by_a_wider_pattern() -> None:
    model = Net()
    freeze(model, ["*"])
    model.train()
    assert not model.plain.training
    assert model.body[2].training  # dropout is no norm


def test_what_was_found_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        freeze(Net(), ["stem.*"])
    assert "MODEL.FREEZE stem.*: 4 tensors, 8 values are not trained" in caplog.text  # 2 + 2 + 2 + 2
    assert "MODEL.FREEZE: 1 norms keep their statistics" in caplog.text


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("steam.*", r"^MODEL\.FREEZE: no parameter of Net is called 'steam\.\*'\. Did you mean 'stem'\?"),
        ("stem", r"Did you mean 'stem\.\*'\? It has: stem\.0, stem\.1, body\.0, body\.1\.$"),
        ("stem.1.running_mean", "no parameter of Net is called"),
    ],
)
def test_a_pattern_that_matches_nothing_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        freeze(Net(), [pattern])
