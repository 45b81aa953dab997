"""Small detectors whose every tensor has values of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import torch
from torch import Tensor

from dettoolkit.config import load_config
from dettoolkit.modeling import build_model

State: TypeAlias = dict[str, Tensor]
MakeState: TypeAlias = Callable[..., State]


@pytest.fixture(scope="session")
def make_state() -> MakeState:
    """A function from keys of MODEL (``HEAD.NORM GN``) to the drawn weights of such a detector."""

    def make(*overrides: Any) -> State:
        small = ["MODEL.NUM_CLASSES", "3", "MODEL.NECK.OUT_CHANNELS", "64", "MODEL.HEAD.NUM_CONVS", "4"]
        plain = ["MODEL.NECK.LEVELS", "[3, 7]", "MODEL.NECK.NORM", "none", "MODEL.HEAD.NORM", "none"]
        given = [f"MODEL.{word}" if index % 2 == 0 else str(word) for index, word in enumerate(overrides)]
        with torch.device("meta"):
            model = build_model(load_config("tiny.yaml", [*small, *plain, *given]))
        generator = torch.Generator().manual_seed(0)
        state = {}
        for name, value in model.state_dict().items():
            drawn = torch.rand(value.shape, generator=generator) + 0.5
            state[name] = drawn if value.is_floating_point() else torch.randint(1, 100, value.shape, generator=generator)
        return state

    return make
