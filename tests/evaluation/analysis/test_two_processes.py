"""Two processes with half of the images each have the numbers of one with all."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dettoolkit.distributed import gather_objects, launch, rank
from dettoolkit.evaluation.analysis import FocalDistributionCollector, FocalObserver
from dettoolkit.modeling.losses import FocalLoss


def _observe(logits: list[Tensor], labels: list[Tensor], images: list[list[int]]) -> dict[str, Any]:
    mine = images[rank()]
    seen = [x[mine] for x in logits], [y[mine] for y in labels], [torch.zeros(()) for _ in logits]
    observer, collector = FocalObserver(FocalLoss()), FocalDistributionCollector()
    observer(*seen)
    collector(*seen)
    statistics = observer.statistics()
    found = {"all": statistics.over_all(), "levels": statistics.by_level(), "classes": statistics.by_class()}
    return {"processes": gather_objects(found | {"counts": collector.distribution().counts})}


def test_both_have_the_numbers_of_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[3])
    generator = torch.Generator().manual_seed(6)
    logits = [torch.randn(4, size, 2, generator=generator) - 3 for size in (900, 300)]
    labels = [torch.randint(-2, 2, (4, size), generator=generator) for size in (900, 300)]
    labels[1][:] = -1  # a level without positives
    labels[0][2:] = -1  # nor has the second process any
    (alone,) = _observe(logits, labels, [[0, 1, 2, 3]])["processes"]
    both = launch(_observe, (logits, labels, [[0, 1], [2, 3]]), num_gpus=2, device="cpu", timeout=timedelta(seconds=240))[
        "processes"
    ]
    assert both[0]["all"] == both[1]["all"]
    for found in both:
        assert np.array_equal(found["counts"], alone["counts"])
        assert found["classes"] == alone["classes"]
        for one, other in zip([*found["levels"], found["all"]], [*alone["levels"], alone["all"]], strict=True):
            assert one.pop("hardest_share") == pytest.approx(other["hardest_share"], rel=0.5)  # those of each process
            assert one == pytest.approx({name: value for name, value in other.items() if name != "hardest_share"})
