from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dettoolkit.checkpoint import read
from dettoolkit.checkpoint.weight_file import write_weights
from dettoolkit.errors import CheckpointError

STATE = {"a": torch.arange(6.0).view(2, 3).t(), "b": torch.ones(3)[1:], "n": torch.tensor(7)}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".pkl"])
@pytest.mark.parametrize("toolkit", ["detectron2", "torchvision", "mmdetection", "caffe2", "dettoolkit"])
def test_what_is_written_is_read(tmp_path: Path, suffix: str, toolkit: str) -> None:
    path = tmp_path / "folder" / f"weights{suffix}"
    write_weights(path, STATE, toolkit)
    data = read(path)
    state = data.get("model", data.get("state_dict", data))
    assert state.keys() == STATE.keys()
    assert all(np.array_equal(state[name], STATE[name]) for name in STATE)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_detectron2_finds_its_keys(tmp_path: Path) -> None:
    write_weights(tmp_path / "a.pkl", STATE, "detectron2")
    data = pickle.loads((tmp_path / "a.pkl").read_bytes())
    # its DetectionCheckpointer takes a pickle without these two for caffe2's
    assert {"model", "__author__"} <= data.keys()
    assert isinstance(data["model"]["a"], np.ndarray)


def test_two_names_of_the_same_memory_are_written_twice(tmp_path: Path) -> None:
    value = torch.ones(4)
    write_weights(tmp_path / "a.safetensors", {"a": value, "b": value[:2]}, "torchvision")
    assert load_file(tmp_path / "a.safetensors")["b"].tolist() == [1, 1]


def test_of_a_view_only_what_it_shows_is_written(tmp_path: Path) -> None:
    write_weights(tmp_path / "a.pth", {"a": torch.ones(1_000_000)[:2]}, "torchvision")
    assert (tmp_path / "a.pth").stat().st_size < 10_000


def test_an_unknown_suffix_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"a.pht: the suffix .*\.pht is unknown\. Did you mean '\.pth'\? Accepted: \.pth .*\.pkl"
    ):
        write_weights(tmp_path / "a.pht", STATE, "dettoolkit")
    with pytest.raises(CheckpointError, match="none is unknown"):
        write_weights(tmp_path / "a", STATE, "dettoolkit")


def test_a_type_that_numpy_lacks_is_named(tmp_path: Path) -> None:
    state = {"a": torch.ones(2, dtype=torch.bfloat16)}
    with pytest.raises(CheckpointError, match=r"numpy has no torch.bfloat16, which a is of\. Write \.pth or \.safetensors"):
        write_weights(tmp_path / "a.pkl", state, "detectron2")
    write_weights(tmp_path / "a.safetensors", state, "detectron2")
    assert not (tmp_path / "a.pkl").exists()
