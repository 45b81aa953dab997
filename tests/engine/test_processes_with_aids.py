"""Training aids in two processes on the CPU: one average, one end, and one norm for all."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dettoolkit.config import load_config
from dettoolkit.distributed import broadcast_object, gather_objects, launch, rank, wrap_ddp
from dettoolkit.engine import train
from dettoolkit.engine.hooks import EMA, EarlyStopping, Hook
from dettoolkit.engine.run_folder import RunFolder
from dettoolkit.engine.trainer import Trainer
from dettoolkit.modeling.layers import HostSyncBatchNorm, synchronise_on_host
from dettoolkit.structures import Batch, Duration, LossOutput

REPOSITORY = Path(__file__).parents[2]
SMALL = Path(__file__).with_name("small.yaml")
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


def _of_both(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Unequal shares of the pixels of one batch, and what the loss weights each with."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 5, 6, generator=generator).to(dtype) * 3 + 2, torch.randn(2, 3, 5, 6, generator=generator).to(
        dtype
    )


def _sync_norm(dtype: torch.dtype) -> dict[str, Any]:
    """Image 0 goes to process 0, and two of the five rows of image 1 to process 1."""
    pixels, factors = _of_both(dtype)
    own = (slice(rank(), rank() + 1), slice(None), slice(0, 5 if rank() == 0 else 2))
    model = nn.Sequential(nn.SyncBatchNorm(3))
    assert synchronise_on_host(model) == 1
    x = pixels[own].clone().requires_grad_()
    y = model(x)
    (y * factors[own]).sum().backward()
    norm: Any = model[0]
    statistics = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    evaluated = model.eval()(x.detach())
    found = {"y": y.detach(), "x": x.grad, "weight": norm.weight.grad, "bias": norm.bias.grad, "evaluated": evaluated}
    return {**found, **statistics, "dtype": str(y.dtype)}


def _trained_with_sync_norm(folder: str) -> list[float]:
    options = ["MODEL.HEAD.NORM", "SyncBN", "MODEL.NECK.NORM", "SyncBN", "SOLVER.LENGTH", "3", "EVALUATION.PERIOD", "0"]
    train(load_config(SMALL, [*options, "MODEL.DEVICE", "cpu", "OUTPUT_DIR", f"{folder}/synced"]))
    lines = (Path(folder) / "synced" / "metrics.jsonl").read_text().splitlines()
    return [row["loss"] for row in map(json.loads, lines) if "loss" in row]


def _all_checks(folder: str) -> dict[str, list[Any]]:
    """Do one after the other what one launch can do, and return what each process saw."""
    seen = {
        "average": _average(),
        "early end": _early_end(folder),
        "float32": _sync_norm(torch.float32),
        "bfloat16": _sync_norm(torch.bfloat16),
        "training": _trained_with_sync_norm(folder),
    }
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


def _plain_norm(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """What PyTorch's batch norm makes of the pixels of both, seen as one row of pixels."""
    pixels, factors = (
        torch.cat([each[0].flatten(1), each[1, :, :2].flatten(1)], dim=1)[None].double() for each in _of_both(dtype)
    )
    norm, x = nn.BatchNorm1d(3).double(), pixels.requires_grad_()
    y = norm(x)
    (y * factors).sum().backward()
    statistics = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    evaluated = norm.eval()(x.detach())
    return {
        "y": y.detach(),
        "x": x.grad,
        "weight": norm.weight.grad,
        "bias": norm.bias.grad,
        "evaluated": evaluated,
        **statistics,
    }


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("bfloat16", 2e-2)])
def test_a_synchronised_norm_is_batch_norm_over_the_pixels_of_all(
    seen: dict[str, list[Any]], dtype: str, tolerance: float
) -> None:
    first, second = seen[dtype]
    expected = _plain_norm(getattr(torch, dtype))
    assert first["dtype"] == second["dtype"] == f"torch.{dtype}"
    close = {"rtol": tolerance, "atol": tolerance, "check_dtype": False}
    for name in ("y", "x", "evaluated"):
        found = torch.cat([each[name].flatten(2) for each in (first, second)], dim=2)
        torch.testing.assert_close(found.double(), expected[name], **close)
    for name in ("weight", "bias"):
        torch.testing.assert_close((first[name] + second[name]).double(), expected[name], rtol=0.01, atol=tolerance)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name].double(), expected[name].double(), rtol=tolerance, atol=1e-4)


def test_a_training_with_synchronised_norms_is_that_of_one_process(seen: dict[str, list[Any]], tmp_path: Path) -> None:
    """One process sees all images of a batch at once, and so do the norms of two that share it."""
    assert seen["training"][0] == pytest.approx(_trained_with_sync_norm(str(tmp_path)), rel=1e-3)
    assert len(seen["training"][0]) == 3


def test_a_norm_that_is_not_trained_exchanges_nothing_and_stays() -> None:
    model = nn.Sequential(nn.SyncBatchNorm(2), nn.SyncBatchNorm(2), nn.BatchNorm2d(2))
    model[0].eval()
    names = list(model.state_dict())
    parameters = list(model.parameters())
    assert synchronise_on_host(model) == 1
    assert [type(norm) for norm in model] == [nn.SyncBatchNorm, HostSyncBatchNorm, nn.BatchNorm2d]
    assert list(model.state_dict()) == names
    assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))


def test_in_one_process_it_is_plain_batch_norm() -> None:
    x = torch.randn(4, 3, 5, 5)
    assert torch.equal(HostSyncBatchNorm(3)(x), nn.BatchNorm2d(3)(x))
