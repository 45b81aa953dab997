from __future__ import annotations

import errno
import shutil
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from fvcore.common.config import CfgNode

from dettoolkit.checkpoint import read, write
from dettoolkit.errors import CheckpointError


def test_everything_that_is_written_is_read_back(tmp_path: Path) -> None:
    data = {
        "model": OrderedDict(a=torch.ones(2), b=torch.nn.Parameter(torch.zeros(1)), c=torch.ones(1, dtype=torch.bfloat16)),
        "trainer": {"iteration": 3, "rate": 0.1, "done": False, "best": None, "big": 2**127, "big negative": -(2**63)},
        "lists": [1, (2, "three"), [b"four", {5: 6}], ()],
        "torch": [torch.Size([1, 2]), torch.float32, torch.device("cpu")],
        "rng": torch.get_rng_state(),
    }
    write(tmp_path / "new" / "folder" / "a.pth", data)
    loaded = read(tmp_path / "new" / "folder" / "a.pth")
    assert {key: loaded[key] for key in ("trainer", "lists", "torch")} == {
        key: data[key] for key in ("trainer", "lists", "torch")
    }
    assert all(torch.equal(loaded["model"][name], data["model"][name]) for name in "abc")
    assert torch.equal(loaded["rng"], data["rng"])
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["a.pth"]


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (np.float64(0.5), r"trainer.hooks.best.value: numpy.float64"),
        (np.ones(2), r"trainer.hooks.best.value: numpy.ndarray"),
        ([1, {"a": Path("a")}], r"trainer.hooks.best.value.1.a: pathlib.*Path"),
        (defaultdict(int), r"trainer.hooks.best.value: collections.defaultdict"),
        (CfgNode(), r"trainer.hooks.best.value: fvcore.common.config.CfgNode"),
        ({np.int64(1): 2}, r"the key trainer.hooks.best.value.1: numpy.int64"),
        ({1, 2}, r"trainer.hooks.best.value: builtins.set"),
    ],
)
def test_a_value_that_could_not_be_read_is_named_and_nothing_is_written(tmp_path: Path, value: object, named: str) -> None:
    with pytest.raises(CheckpointError, match=f"a.pth was not written: .*got {named}"):
        write(tmp_path / "a.pth", {"trainer": {"hooks": {"best": {"value": value}}}})
    assert list(tmp_path.iterdir()) == []


def test_all_values_that_could_not_be_read_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"got a: numpy.float64, b.c: builtins.set"):
        write(tmp_path / "a.pth", {"a": np.float64(1), "b": {"c": {1}}})


def test_a_config_is_not_plain_data_itself(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"got the whole: fvcore.common.config.CfgNode"):
        write(tmp_path / "a.pth", CfgNode())


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CheckpointError, match=r"a.pth cannot be written: .*(exists|directory)"):
        write(tmp_path / "file" / "a.pth", {"a": 1})


def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits are POSIX")
    write(tmp_path / "a.pth", {"a": torch.ones(1)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # writing past it fails as on a full disk
    try:
        with pytest.raises(CheckpointError, match=r"a.pth cannot be written: .*The file that was there before is unchanged"):
            write(tmp_path / "a.pth", {"a": torch.ones(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read(tmp_path / "a.pth")["a"].shape == (1,)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


@pytest.mark.parametrize(
    ("error", "free"), [(RuntimeError("unexpected pos 64 vs 0"), 4096), (OSError(errno.ENOSPC, "No space"), 2**40)]
)
def test_a_full_disk_is_called_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, free: int) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("dettoolkit.checkpoint.saving.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(2**41, 0, free))
    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(CheckpointError, match=r"a\.pth cannot be written: the disk of .* is full \(.* MiB are free; "):
        write(tmp_path / "a.pth", {"a": 1})


def test_another_failure_to_write_is_not_called_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(CheckpointError, match=r"a\.pth cannot be written: something else\.$"):
        write(tmp_path / "a.pth", {"a": 1})
