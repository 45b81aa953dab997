"""Channels-last from the images to the predictions: what the head says of each anchor lies in the memory as it is used."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dettoolkit.modeling import build_model
from dettoolkit.modeling.heads import retinanet_head

IMAGES = torch.zeros(2, 3, 96, 160, dtype=torch.uint8)


@pytest.fixture
def flattened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Tensor, Tensor]]:
    """The maps that heads flatten, and what becomes of them."""
    pairs: list[tuple[Tensor, Tensor]] = []
    flatten = retinanet_head._flatten

    def noted(x: Tensor, size: int) -> Tensor:
        pairs.append((x, flatten(x, size)))
        return pairs[-1][1]

    monkeypatch.setattr(retinanet_head, "_flatten", noted)
    return pairs


def _drops(model: nn.Module) -> list[str]:
    """Return a list that gets the names of modules whose maps are in another order than their input."""
    names: list[str] = []

    def look(name: str, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and not output.is_contiguous(memory_format=torch.channels_last):
            names.append(name)

    for name, module in model.named_modules():
        if not name.startswith("normalization"):  # the first convolution takes what comes
            module.register_forward_hook(lambda module, args, output, name=name: look(name, output))
    return names


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("norm", ["none", "GN", "BN"])
def test_flattening_the_heads_outputs_copies_nothing(
    model_config: Any, flattened: list[tuple[Tensor, Tensor]], norm: str, amp: bool
) -> None:
    neck = {"NAME": "FPN", "OUT_CHANNELS": 32, "NORM": norm}
    head = {"NAME": "RetinaNetHead", "NUM_CONVS": 1, "NORM": norm}
    model: Any = build_model(model_config(NECK=neck, HEAD=head)).to(memory_format=torch.channels_last)
    drops = _drops(model)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=amp):
        model.predictions(IMAGES, [(96, 160), (90, 100)])
    assert drops == []
    assert len(flattened) == 2 * 5
    for x, flat in flattened:
        assert flat.data_ptr() == x.data_ptr()
        assert x.dtype == (torch.bfloat16 if amp else torch.float32)


def test_in_the_usual_memory_order_flattening_copies(model_config: Any, flattened: list[tuple[Tensor, Tensor]]) -> None:
    model: Any = build_model(model_config())
    model.predictions(IMAGES, [(96, 160)] * 2)
    assert flattened[0][0].data_ptr() != flattened[0][1].data_ptr()
