"""A pickle of arrays is read, and whatever else it may ask for is named and never done."""

from __future__ import annotations

import collections
import os
import pickle
import re
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dettoolkit.checkpoint import read
from dettoolkit.checkpoint.restricted_pickle import load
from dettoolkit.errors import CheckpointError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Asks:
    """Has something called when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def short(text: str) -> bytes:
    """A text of protocol 4."""
    return pickle.SHORT_BINUNICODE + bytes([len(text)]) + text.encode()


def named(module: str, name: str) -> bytes:
    return short(module) + short(name) + pickle.STACK_GLOBAL


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_arrays_and_plain_data_come_back(protocol: int) -> None:
    arrays = {
        "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
        "by columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "other byte order": np.arange(3, dtype=">f4"),
        "half": np.ones(2, np.float16),
        "whole": np.array([[-1, 2**40]]),
        "flags": np.array([True, False]),
        "none": np.empty((0, 4), np.float32),
        "one": np.array(5),
    }
    plain = {"text": "é", "bytes": b"\x00\xff", "empty": b"", "list": [1, 2.5, None, True, (1, "a")], 3: 2**70}
    data = {"arrays": arrays, "plain": plain, "numbers": [np.float64(0.5), np.int64(7), np.bool_(True)]}
    found = load(pickle.dumps(data, protocol), "it")
    assert found["plain"] == plain
    assert found["numbers"] == [0.5, 7, True]
    assert [type(number) for number in found["numbers"]] == [float, int, bool]
    for name, array in arrays.items():
        np.testing.assert_array_equal(found["arrays"][name], array, strict=name != "other byte order")
        assert found["arrays"][name].dtype.isnative
        found["arrays"][name].fill(0)  # it may be written to


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tensors_in_a_plain_pickle_come_back(protocol: int) -> None:
    values = torch.arange(12.0)
    state = torch.nn.Linear(3, 2).state_dict()  # an OrderedDict with an attribute
    data = {
        "view": values[2:8].view(2, 3).t(),
        "parameter": torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16)),
        "state": state,
        "ordered": collections.OrderedDict(b=1, a=2),
    }
    found = load(pickle.dumps(data, protocol), "it")
    assert torch.equal(found["view"], data["view"])
    assert torch.equal(found["parameter"], torch.ones(2, dtype=torch.bfloat16))
    assert found["ordered"] == {"b": 1, "a": 2}
    assert found["state"].keys() == state.keys()
    assert all(torch.equal(found["state"][name], state[name]) for name in state)


def test_a_pickle_of_python_2_is_read() -> None:
    # What cPickle wrote, protocol 2: text and the bytes of arrays are one type; numpy.core is where it was until numpy 2
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08"
    )
    content = b"\x80\x02}U\x07conv1_w" + array + struct.pack("<2f", 1.5, -2) + b"tbs."
    found = load(content, "it")
    assert found.keys() == {"conv1_w"}
    np.testing.assert_array_equal(found["conv1_w"], np.array([1.5, -2], np.float32), strict=True)


def attacks(trap: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that would make the folder ``trap``, by what they use; each with what is to be named."""
    path = str(trap).encode()
    mkdir = f"__import__('os').mkdir({str(trap)!r})"
    make = short("os") + short("mkdir") + pickle.STACK_GLOBAL + short(str(trap)) + pickle.TUPLE1 + pickle.REDUCE
    attribute = named("builtins", "getattr") + named("numpy", "ndarray") + short("__class__") + pickle.TUPLE2 + pickle.REDUCE
    return {
        "a global": (b"cos\nmkdir\n(S'" + path + b"'\ntR.", "os.mkdir"),
        "a global of protocol 2": (b"\x80\x02cos\nmkdir\nX" + struct.pack("<I", len(path)) + path + b"\x85R.", "os.mkdir"),
        "a global from the stack": (b"\x80\x04" + make + b".", "os.mkdir"),
        "the shell": (pickle.dumps(Asks(os.system, f"mkdir {trap}")), f"{os.name}.system"),
        "eval": (pickle.dumps(Asks(eval, mkdir)), "builtins.eval"),
        "eval of Python 2": (b"c__builtin__\neval\n(S" + repr(mkdir).encode() + b"\ntR.", "__builtin__.eval"),
        "exec": (pickle.dumps(Asks(exec, mkdir)), "builtins.exec"),
        "an instance": (b"(S'" + path + b"'\nios\nmkdir\n.", "os.mkdir"),
        "an object": (b"(cos\nmkdir\nS'" + path + b"'\no.", "os.mkdir"),
        "a new object": (
            b"\x80\x04" + named("pathlib", "Path") + short(str(trap)) + pickle.TUPLE1 + pickle.NEWOBJ + b".",
            "Path",
        ),
        "an attribute of numpy's": (b"\x80\x04" + attribute + b".", "builtins.getattr"),
        "a dotted name": (
            b"\x80\x04" + named("numpy.core.multiarray", "_reconstruct.__globals__") + b".",
            "numpy.core.multiarray._reconstruct.__globals__",
        ),
        "a function of numpy's": (pickle.dumps(Asks(np.fromfile, str(trap))), "fromfile"),
        "torch.load": (pickle.dumps(Asks(torch.load, str(trap))), "torch.serialization.load"),
        "a state": (
            b"\x80\x04" + named("os", "environ") + pickle.EMPTY_DICT + short("x") + make + b"sb.",
            "os.environ, os.mkdir",
        ),
        "in an array of objects": (pickle.dumps(np.array([Asks(os.mkdir, str(trap))], dtype=object)), f"{os.name}.mkdir"),
        "under a key": (pickle.dumps({"model": {"a": [Asks(os.mkdir, str(trap))]}}), f"{os.name}.mkdir"),
        "in the bytes of a tensor": (_in_a_storage(Asks(os.mkdir, str(trap))), f"{os.name}.mkdir"),
    }


def _in_a_storage(value: Any) -> bytes:
    return pickle.dumps({"a": Asks(torch.storage._load_from_bytes, pickle.dumps(value, 2))})


@pytest.mark.parametrize("attack", attacks(Path("trap")))
def test_nothing_runs_and_what_was_asked_for_is_named(tmp_path: Path, attack: str) -> None:
    trap = tmp_path / "trap"
    content, name = attacks(trap)[attack]
    with pytest.raises(CheckpointError) as caught:
        load(content, "weights.pkl")
    assert not trap.exists()
    assert re.search(
        rf"weights.pkl .*(neither arrays nor plain data: |bytes of a tensor).*{re.escape(name)}", str(caught.value)
    )


INDIRECT = (
    *("the shell", "a new object", "an attribute of numpy's", "a dotted name", "a function of numpy's"),
    *("torch.load", "in the bytes of a tensor", "a state"),
)


@pytest.mark.parametrize("attack", sorted(set(attacks(Path("trap"))) - set(INDIRECT)))
def test_the_attacks_are_real(tmp_path: Path, attack: str) -> None:
    content, _ = attacks(tmp_path / "trap")[attack]
    pickle.loads(content)
    assert (tmp_path / "trap").is_dir()


def test_all_that_was_asked_for_is_named(tmp_path: Path) -> None:
    content = pickle.dumps({"a": Asks(os.mkdir, str(tmp_path / "x")), "b": [Asks(eval, "1"), Asks(print, "2")]})
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"(posix|nt)\.mkdir, builtins\.eval, builtins\.print\. Such a file can run code"):
        read(tmp_path / "a.pkl")


def test_nothing_is_imported() -> None:
    sys.modules.pop("this", None)
    with pytest.raises(CheckpointError, match=r"this\.d"):
        load(b"\x80\x04" + named("this", "d") + b".", "it")
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    "change",
    [
        pickle.EMPTY_DICT + short("kind") + short("storage") + pickle.SETITEM + pickle.BUILD,
        pickle.NONE + pickle.EMPTY_DICT + short("kind") + short("storage") + pickle.SETITEM + pickle.TUPLE2 + pickle.BUILD,
        short("a") + pickle.NONE + pickle.SETITEM,
        pickle.NONE + pickle.APPEND,
        pickle.EMPTY_TUPLE + pickle.NEWOBJ,
    ],
)
def test_what_it_is_read_with_cannot_be_changed(change: bytes) -> None:
    with pytest.raises(CheckpointError, match="it is a damaged pickle"):
        load(b"\x80\x04" + named("numpy", "dtype") + change + b".", "it")
    array = np.ones(2)
    np.testing.assert_array_equal(load(pickle.dumps(array), "it"), array)


def test_a_function_alone_is_no_value() -> None:
    with pytest.raises(CheckpointError, match=r"it is not read: there is a function or class among its values\. Accepted"):
        load(b"\x80\x04" + named("numpy", "ndarray") + b".", "it")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array(["a", None], dtype=object), r"an array of 'O8' among its values, which are no numbers"),
        (np.array(["text"]), "an array of 'U4'"),
        (np.zeros(2, dtype=[("a", "f4")]), "an array of 'V4'"),
        (np.array(["2020-01-01"], "M8[D]"), "an array of 'M8'"),
        ({1, 2}, "a set among its values"),
    ],
)
def test_other_values_are_refused(value: Any, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        load(pickle.dumps({"a": value}, 4), "it")


def array_of(shape: bytes, content: bytes) -> bytes:
    """An array of float32 of that shape (as opcodes) and those bytes."""
    kind = named("numpy", "dtype") + short("f4") + pickle.NEWFALSE + pickle.NEWTRUE + pickle.TUPLE3 + pickle.REDUCE
    start = named("numpy.core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
    return b"\x80\x04" + start + b"(K\x01" + shape + kind + b"\x89C" + bytes([len(content)]) + content + b"tb."


@pytest.mark.parametrize(
    "content",
    [
        array_of(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", b"1234"),  # 2**31 - 1 squared
        array_of(b"\x8a\x0a" + b"\x00" * 9 + b"\x01" + b"\x85", b"1234"),  # 2**72
        array_of(b"J\xff\xff\xff\xff\x85", b"1234"),  # -1
        array_of(b"K\x02\x85", b"1234"),
        array_of(b"N", b"1234"),
        array_of(b"G?\xf0\x00\x00\x00\x00\x00\x00\x85", b"1234"),  # 1.0
        b"\x80\x04r\xff\xff\xff\x3fN.",  # a memo of 2**30 places
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",  # a bytearray
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b".",  # bytes
        b"\x80\x04" + named("builtins", "bytearray") + b"\x8a\x06" + b"\x00" * 5 + b"\x01\x85R.",  # bytearray(2**40)
    ],
)
def test_sizes_that_a_pickle_claims_take_no_memory(content: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"it is a damaged pickle: .*Copy or download it again"):
            load(content, "it")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_the_same_bytes_are_not_unpacked_again_and_again() -> None:
    content = b"1" * 10_000
    arrays = [Asks(np._core.numeric._frombuffer, content, np.dtype("u1"), (10_000,), "C") for _ in range(3)]
    assert len(load(pickle.dumps(arrays[:1], 4), "it")[0]) == 10_000
    with pytest.raises(CheckpointError, match="more values than the file has bytes"):
        load(pickle.dumps(arrays, 4), "it")


@pytest.mark.parametrize(
    ("offset", "size", "stride"), [(0, (1_000_000, 1_000_000), (0, 0)), (2, (2,), (2,)), (4, (1,), (1,)), (0, (-1,), (1,))]
)
def test_a_tensor_that_its_storage_does_not_hold_is_damaged(
    offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    storage = torch.arange(4.0)._typed_storage()
    content = pickle.dumps(Asks(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, {}))
    with pytest.raises(CheckpointError, match="it is a damaged pickle"):
        load(content, "it")
    fitting = Asks(torch._utils._rebuild_tensor_v2, storage, 1, (2,), (2,), False, {})
    assert load(pickle.dumps(fitting), "it").tolist() == [1, 3]


def test_the_same_array_twice_is_one() -> None:
    array = np.ones(3)
    found = load(pickle.dumps({"a": array, "b": array}), "it")
    assert found["a"] is found["b"]


def test_a_value_inside_of_itself_is_damaged() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(CheckpointError, match="a value holds itself"):
        load(pickle.dumps(endless), "it")


@pytest.mark.parametrize("cut", [1, 10, 60, 100])
def test_a_cut_off_pickle_is_damaged(cut: int) -> None:
    whole = pickle.dumps({"a": np.arange(4.0)})
    with pytest.raises(CheckpointError, match=r"it is a damaged pickle"):
        load(whole[:-cut], "it")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch, of the bytes of a tensor
def test_random_changes_of_a_pickle_are_read_or_refused() -> None:
    whole = pickle.dumps({"a": np.arange(60.0), "b": torch.ones(3), "c": [1, "x"]}, 4)
    rng = np.random.default_rng(0)
    outcomes = collections.Counter()
    for _ in range(100):
        changed = bytearray(whole)
        for place in rng.integers(0, len(whole), 2):
            changed[place] = rng.integers(0, 256)
        try:
            load(bytes(changed), "it")
            outcomes["read"] += 1
        except CheckpointError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 10
