"""Norms."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d as TorchvisionFrozenBatchNorm2d

from dettoolkit.modeling.layers import FrozenBatchNorm2d, NormByLevel, make_norm


def statistics(channels: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    names = ("weight", "bias", "running_mean", "running_var")
    return {name: torch.rand(channels, generator=generator) + 0.5 for name in names}


def test_frozen_batch_norm_is_torchvisions() -> None:
    ours, theirs, x = FrozenBatchNorm2d(6), TorchvisionFrozenBatchNorm2d(6), torch.randn(2, 6, 5, 4)
    for norm in (ours, theirs):
        norm.load_state_dict(statistics(6))
    torch.testing.assert_close(ours.train()(x), theirs(x), rtol=1e-5, atol=1e-5)
    assert ours.state_dict().keys() == theirs.state_dict().keys()


def test_frozen_batch_norm_loads_a_trained_batch_norm() -> None:
    trained, frozen, x = nn.BatchNorm2d(6), FrozenBatchNorm2d(6), torch.randn(2, 6, 5, 4)
    trained.load_state_dict(statistics(6), strict=False)
    frozen.load_state_dict(trained.state_dict())  # strict: the count of batches is dropped
    torch.testing.assert_close(frozen(x), trained.eval()(x))


def test_frozen_batch_norm_trains_nothing_and_passes_the_gradient() -> None:
    norm, x = FrozenBatchNorm2d(3), torch.randn(2, 3, 4, 4, requires_grad=True)
    norm.load_state_dict(statistics(3))
    norm(x).sum().backward()
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt())[None, :, None, None]
    torch.testing.assert_close(x.grad, scale.expand(2, 3, 4, 4))
    assert not list(norm.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_frozen_batch_norm_keeps_dtype_and_memory_order(dtype: torch.dtype) -> None:
    norm = FrozenBatchNorm2d(8)
    norm.load_state_dict(statistics(8))
    x = torch.randn(2, 8, 4, 4).to(dtype).to(memory_format=torch.channels_last)
    y = norm(x)
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(y.float(), norm(x.float()), rtol=2**-7, atol=2**-7)


@pytest.mark.parametrize(("channels", "groups"), [(256, 32), (96, 32), (64, 32), (48, 16), (12, 4), (5, 1)])
def test_group_norm_has_32_groups_or_as_many_as_divide(channels: int, groups: int) -> None:
    norm = make_norm("GN", channels)
    assert isinstance(norm, nn.GroupNorm)
    assert norm.num_groups == groups


@pytest.mark.parametrize(("channels", "groups"), [(32, 16), (8, 4), (2, 1), (1, 1)])
def test_groups_of_group_norm_have_more_than_one_channel(channels: int, groups: int) -> None:
    norm = make_norm("GN", channels)
    assert isinstance(norm, nn.GroupNorm)
    assert norm.num_groups == groups


def test_group_norm_of_a_single_pixel_depends_on_it() -> None:
    assert make_norm("GN", 32)(torch.randn(1, 32, 1, 1)).abs().sum() > 1


def test_norms_by_name() -> None:
    assert type(make_norm("none", 4)) is nn.Identity
    assert type(make_norm("BN", 4)) is nn.BatchNorm2d
    assert type(make_norm("SyncBN", 4)) is nn.SyncBatchNorm
    with pytest.raises(ValueError, match="none, GN, BN or SyncBN, got 'LN'"):
        make_norm("LN", 4)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "count"), [("none", 1), ("GN", 1), ("BN", 3), ("SyncBN", 3)])
def test_statistics_are_apart_by_level_where_there_are_any(name: str, count: int) -> None:
    assert len(NormByLevel(name, 4, 3).levels) == count  # type: ignore[arg-type]


def test_sync_batch_norm_of_one_process_is_batch_norm() -> None:
    x = torch.randn(4, 3, 5, 5)
    torch.testing.assert_close(make_norm("SyncBN", 3)(x), make_norm("BN", 3)(x))
