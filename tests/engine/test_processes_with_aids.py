"""Training aids in two processes on the CPU: all have the same average, and all end early together."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dettoolkit.distributed import broadcast_object, gather_objects, launch, rank, wrap_ddp
from dettoolkit.engine.hooks import EMA, EarlyStopping, Hook
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.structures import Batch, Duration, LossOutput

REPOSITORY = Path(__file__).parents[2]
CPU = torch.device("cpu")

pytestmark = pytest.mark.slow


class Net(nn.Module):
    """A weight, whose gradient is other in each process."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: torch.Tensor, *_: Any) -> LossOutput:
        return LossOutput({"loss_x": (self.weight * images - 1).square().mean()})


class Falling(Hook):
    """An evaluation a step; in process 1 it is better each time, which must not count."""

    def after_step(self, trainer: Trainer) -> None:
        trainer.recorded |= {"bbox/AP": trainer.iteration * (0.1 if rank() else -0.1)}


def _trainer(model: nn.Module, hooks: list[Hook]) -> Trainer:
    samples: list[Any] = [{"image_id": 0, "file_name": f"{rank()}.png"}]
    batch = Batch(torch.full((1, 1, 1, 1), 1.0 + rank()), [(1, 1)], [], samples)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    options: dict[str, Any] = {"device": CPU, "num_iterations": 5, "iterations_per_epoch": 5}
    return Trainer(model, wrap_ddp(model, CPU), optimizer, [batch] * 9, hooks, **options)


def _average() -> tuple[float, float]:
    model = Net()
    ema = EMA(model, 0.5, 0)
    _trainer(model, [ema]).train()
    return ema.average.weight.item(), model.weight.item()  # type: ignore[union-attr, operator]


def _early_end(folder: str) -> tuple[int, str | None]:
    stopping = EarlyStopping(["one"], Duration.parse("1it"), RunFolder(Path(folder)), patience=2)  # type: ignore[list-item]
    trainer = _trainer(Net(), [Falling(), stopping])
    trainer.train()
    return trainer.iteration, trainer.stop_reason


def _all_checks(folder: str) -> dict[str, list[Any]]:
    """Do one after the other what one launch can do, and return what each process saw."""
    seen = {"average": _average(), "early end": _early_end(folder)}
    return {name: broadcast_object(gather_objects(value)) for name, value in seen.items()}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What two processes saw in each check."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(REPOSITORY)  # new processes import the functions above by the name of this module
        folder = str(tmp_path_factory.mktemp("seen"))
        return launch(_all_checks, (folder,), num_gpus=2, device="cpu", timeout=timedelta(seconds=120))


def test_all_processes_have_the_same_average(seen: dict[str, list[Any]]) -> None:
    first, second = seen["average"]
    assert first == second
    weight = average = 0.5
    for _ in range(5):  # the mean of the gradients of the pixels 1 and 2, by hand
        weight -= 0.1 * ((weight - 1) + (2 * weight - 1) * 2)
        average = (average + weight) / 2
    assert first == pytest.approx((average, weight), rel=1e-5)


def test_the_main_process_decides_when_all_end_early(seen: dict[str, list[Any]]) -> None:
    (ended, reason), other = seen["early end"]
    assert ended == 3  # the best of -0.1, -0.2, ... is the first
    assert "the best was -0.1000 at iteration 1" in str(reason)
    assert other == (3, None)
