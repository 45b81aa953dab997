from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dettoolkit.checkpoint import read
from dettoolkit.errors import CheckpointError


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.folder,)


def _state() -> dict[str, torch.Tensor]:
    return {"a": torch.arange(600.0), "b": torch.tensor([[1, 2]])}


def _save_old(state: object, path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("save", [torch.save, _save_old, save_file])
def test_a_file_is_recognised_by_its_content_not_its_name(tmp_path: Path, save) -> None:
    path = tmp_path / "weights.jpg"
    save(_state(), path)
    loaded = read(path)
    assert loaded.keys() == {"a", "b"}
    assert all(torch.equal(loaded[name], tensor) for name, tensor in _state().items())


def test_what_was_read_may_be_changed_without_changing_the_file(tmp_path: Path) -> None:
    torch.save(_state(), tmp_path / "a.pth")
    read(tmp_path / "a.pth")["a"].zero_()
    assert read(tmp_path / "a.pth")["a"].sum() == 599 * 600 / 2


@pytest.mark.parametrize("save", [torch.save, _save_old, lambda obj, path: path.write_bytes(pickle.dumps(obj))])
def test_a_malicious_file_is_named_and_does_not_run(tmp_path: Path, save) -> None:
    trap = tmp_path / "trap"
    path = tmp_path / "weights.pth"
    save({"model": {"a": 1}, "x": Malicious(trap)}, path)
    with pytest.raises(
        CheckpointError,
        match=r"weights.pth .*asks for .*(posix|nt)\.mkdir.* run code .*Accepted: (files of torch.save|pickles of)",
    ):
        read(path)
    assert not trap.exists()


def test_numpy_values_are_named(tmp_path: Path) -> None:
    torch.save({"best": np.float64(0.5)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"neither tensors nor plain data: .*numpy.*scalar"):
        read(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is an empty file"),
        (b"\n<!DOCTYPE html><html>404</html>", "is a web page, probably what a server sent instead"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        (b"hello world, this is text", "no weight file; it starts with b'hello world,'"),
    ],
)
def test_what_is_no_weight_file_is_told_by_what_it_is(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"a.pth.*{message}.*Accepted"):
        read(tmp_path / "a.pth")


@pytest.mark.parametrize("save", [torch.save, _save_old, save_file])
def test_a_truncated_file_is_damaged(tmp_path: Path, save) -> None:
    save(_state(), tmp_path / "a.pth")
    whole = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(whole[: len(whole) - 200])
    with pytest.raises(CheckpointError, match=r"a.pth is damaged: .*Copy or download it again"):
        read(tmp_path / "a.pth")


def test_another_zip_archive_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.ones(2))
    with pytest.raises(CheckpointError, match=r"a.npz is a zip archive that torch.save did not write"):
        read(tmp_path / "a.npz")


def test_a_file_that_holds_no_dict_is_refused(tmp_path: Path) -> None:
    torch.save(torch.ones(2), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"a.pth holds a Tensor; expected a dict"):
        read(tmp_path / "a.pth")


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    torch.save(_state(), tmp_path / "model_final.pth")
    with pytest.raises(CheckpointError, match=r"model_finl.pth: there is no such file. Did you mean 'model_final.pth'\?"):
        read(tmp_path / "model_finl.pth")
    with pytest.raises(CheckpointError, match=r"there is no such file\.$"):
        read(tmp_path / "nowhere" / "a.pth")


def test_a_folder_is_told_with_its_files(tmp_path: Path) -> None:
    torch.save(_state(), tmp_path / "model_final.pth")
    with pytest.raises(CheckpointError, match=r"is a folder; expected a weight file. Files in it: model_final.pth"):
        read(tmp_path)
