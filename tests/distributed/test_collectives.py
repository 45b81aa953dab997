from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import nn

from dettoolkit import distributed


def test_one_process_needs_no_group() -> None:
    values = torch.tensor([1.0, 2.0], requires_grad=True)
    assert (distributed.rank(), distributed.world_size(), distributed.is_main_process()) == (0, 1, True)
    assert distributed.mean_over_processes(values).tolist() == [1.0, 2.0]
    assert distributed.max_over_processes(values).tolist() == [1.0, 2.0]
    assert not distributed.max_over_processes(values).requires_grad
    assert not distributed.sum_over_processes(values).requires_grad
    assert distributed.gather_objects({"a": 1}) == [{"a": 1}]
    assert distributed.broadcast_object("x") == "x"
    assert distributed.all_agree(True)
    assert not distributed.all_agree(False)
    assert distributed.any_process(True)
    assert not distributed.any_process(False)
    distributed.barrier()
    distributed.destroy()


def test_sum_in_one_process_is_a_copy() -> None:
    values = torch.ones(2)
    distributed.sum_over_processes(values).add_(1)
    assert values.tolist() == [1.0, 1.0]


def test_one_process_trains_the_model_itself() -> None:
    model = nn.Linear(2, 1)
    assert distributed.wrap_ddp(model, torch.device("cpu")) is model


def _talk(base: int) -> dict[str, object]:
    """What each of two processes sees; rank 0's dict comes back with both in it."""
    rank = distributed.rank()
    mine = torch.tensor([base + rank, 10.0 * rank])
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 2.0)
    wrapped = distributed.wrap_ddp(model, torch.device("cpu"))
    wrapped(torch.tensor([[float(rank + 1)]])).sum().backward()
    distributed.barrier()
    seen = {
        "rank": rank,
        "world": distributed.world_size(),
        "sum": distributed.sum_over_processes(mine).tolist(),
        "mean": distributed.mean_over_processes(mine).tolist(),
        "max": distributed.max_over_processes(mine * torch.tensor([1.0, -1.0])).tolist(),
        "mean of integers": distributed.mean_over_processes(torch.tensor(rank)).item(),
        "gradient": model.weight.grad.item(),
        "broadcast": distributed.broadcast_object(f"from {rank}", src=1),
        "gathered by 1": distributed.gather_objects(rank, dst=1),
        "any": [distributed.any_process(flag) for flag in (rank == 1, False)],
        "all": [distributed.all_agree(flag) for flag in (rank == 1, True)],
        "shard": list(distributed.shard_indices(5)),
    }
    gathered = distributed.gather_objects(seen)
    return {"processes": gathered}


def test_two_processes_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    result = distributed.launch(_talk, (1,), num_gpus=2, device="cpu", timeout=timedelta(seconds=60))
    first, second = result["processes"]
    assert (first["rank"], second["rank"], first["world"], second["world"]) == (0, 1, 2, 2)
    for seen in (first, second):
        assert seen["sum"] == [3.0, 10.0]  # 1 + 2, 0 + 10
        assert seen["mean"] == [1.5, 5.0]
        assert seen["max"] == [2.0, 0.0]
        assert seen["mean of integers"] == 0.5
        assert seen["gradient"] == 1.5  # d(w x)/dw = x: the mean of 1 and 2
        assert seen["broadcast"] == "from 1"
        assert seen["any"] == [True, False]
        assert seen["all"] == [False, True]
    assert (first["gathered by 1"], second["gathered by 1"]) == (None, [0, 1])
    assert (first["shard"], second["shard"]) == ([0, 1], [2, 3, 4])
