"""Pickles that hold arrays, tensors and plain data, read without running anything that is in them.

A pickle is a program: it names functions and has them called. Here a name is looked up in one short table and nothing is
ever imported. What stands in the table computes nothing either: it takes notes of the call. When the whole is read, the notes
are checked and turned into values (:mod:`dettoolkit.checkpoint.pickled_values`).
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Callable
from typing import Any

from dettoolkit.checkpoint.pickled_values import Note, Resolver
from dettoolkit.errors import CheckpointError, listed

ADMITTED = "numpy arrays, tensors, numbers, text, bytes, lists and dicts"

# what reading a damaged or hostile pickle raises: Python's own words for what does not fit
_DAMAGE = (
    *(pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, MemoryError),
    *(RuntimeError, AssertionError, NotImplementedError, struct.error),
)


def load(content: bytes, name: str) -> Any:
    """Return what a pickle holds.

    Pickles of Python 2 are read too; their text is taken for Latin-1, as Detectron2 does.

    Args:
        content: the whole file.
        name: how messages call it.

    Raises:
        CheckpointError: the pickle asks for anything but what is admitted (all of it is named), or it is damaged.
    """
    reader = _Reader(content)
    try:
        value, damage = reader.load(), None
    except _DAMAGE as error:
        value, damage = None, error
    if reader.refused:
        raise CheckpointError(
            f"{name} asks for Python objects that are neither arrays nor plain data: {listed(reader.refused)}. "
            f"Such a file can run code when it is read, so it is not. Accepted: pickles of {ADMITTED}."
        )
    try:
        if damage is not None:
            raise damage
        return Resolver(2 * len(content)).resolve(value)  # twice: bytes that are written as text, and what is made of them
    except CheckpointError as error:
        raise CheckpointError(f"{name} is not read: {error}. Accepted: pickles of {ADMITTED}.") from None
    except _DAMAGE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CheckpointError(f"{name} is a damaged pickle: {reason}. Copy or download it again.") from error


class _Builder:
    """What stands for a function or class of a pickle: calling it makes a note. Nothing about it can be changed."""

    __slots__ = ("kind",)
    kind: str

    def __init__(self, kind: str) -> None:
        object.__setattr__(self, "kind", kind)

    def __call__(self, *arguments: Any) -> Note:
        return Note(self.kind, arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a pickle may not change what it is read with")


class _DictBuilder(_Builder):
    """What stands for OrderedDict. Its items are set later on, so it is made at once."""

    __slots__ = ()

    def __call__(self, *arguments: Any) -> Any:
        return _Items(*arguments)


class _Items(dict):
    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Drop attributes: torch hangs the versions of its modules on a state dict."""


class _Refused:
    """What stands for everything else: it takes whatever is done to it and does nothing, so that the reading goes on."""

    __slots__ = ()

    def __new__(cls, *arguments: Any, **named: Any) -> _Refused:
        return object.__new__(_Refused)

    def __call__(self, *arguments: Any, **named: Any) -> _Refused:
        return self

    def ignore(self, *values: Any) -> None:
        """Do nothing."""

    __setattr__ = __setitem__ = __setstate__ = append = extend = add = ignore


_NUMPY, _BUILTINS = ("numpy.core", "numpy._core"), ("builtins", "__builtin__")  # before and since numpy 2; Python 3 and 2
_TABLE: dict[tuple[str, str], _Builder] = {
    **{(f"{package}.multiarray", "_reconstruct"): _Builder("array") for package in _NUMPY},
    **{(f"{package}.multiarray", "scalar"): _Builder("scalar") for package in _NUMPY},
    **{(f"{package}.numeric", "_frombuffer"): _Builder("buffer") for package in _NUMPY},
    ("numpy", "ndarray"): _Builder("array"),
    ("numpy", "dtype"): _Builder("dtype"),
    ("_codecs", "encode"): _Builder("text"),
    **{(package, kind): _Builder("raw") for package in _BUILTINS for kind in ("bytes", "bytearray")},
    ("collections", "OrderedDict"): _DictBuilder("items"),
    ("torch._utils", "_rebuild_tensor_v2"): _Builder("tensor"),
    ("torch._utils", "_rebuild_parameter"): _Builder("parameter"),
    ("torch.storage", "_load_from_bytes"): _Builder("storage"),
}


# The unpickler in Python: the one in C takes as much memory as a number in a pickle says (the index into its memo).
class _Reader(pickle._Unpickler):
    """Takes notes of a pickle; ``refused`` are the names that are not in the table."""

    read: Callable[[int], bytes]  # both are set by load()
    append: Callable[[Any], None]

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")
        self.refused: list[str] = []

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name, and remember the names that nothing stands for."""
        if (module, name) not in _TABLE and f"{module}.{name}" not in self.refused:
            self.refused.append(f"{module}.{name}")
        return _TABLE.get((module, name)) or _Refused()

    def get_extension(self, code: int) -> None:
        """Refuse the registry of short codes for classes."""
        self.refused.append(f"extension {code}")
        self.append(_Refused())

    def persistent_load(self, pid: object) -> Any:
        """Refuse what lies outside of the pickle."""
        raise pickle.UnpicklingError("it refers to something outside of it, as files of torch.save do")

    def _read_bytearray(self) -> None:
        """Read before memory is taken: the length is what the pickle claims."""
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(length)))

    dispatch = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: _read_bytearray}  # type: ignore[dict-item]  # noqa: RUF012
